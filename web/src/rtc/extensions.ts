// Header extensions that browsers use only where a page asks for them, and what comes with them.

/** When a picture or sound was taken (abs-capture-time). */
export const CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/** Which layers of a picture a packet is of, and what it depends on. */
export const DEPENDENCIES =
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

type Extension = { uri: string; direction: string };

/** What Chromium has and the library of types does not know (W3C, webrtc-extensions). */
type Negotiable = {
  getHeaderExtensionsToNegotiate?: () => Extension[];
  setHeaderExtensionsToNegotiate?: (extensions: Extension[]) => void;
};
type Source = { timestamp: number; captureTimestamp?: number; senderCaptureTimeOffset?: number };

/** Asks for these in the next offer, as far as the browser knows them. */
export function want(transceiver: RTCRtpTransceiver, ...uris: string[]): void {
  const negotiable = transceiver as Negotiable;
  const extensions = negotiable.getHeaderExtensionsToNegotiate?.() ?? [];
  if (!extensions.some(({ uri }) => uris.includes(uri))) return;
  const wanted = extensions.map((one) => (uris.includes(one.uri) ? { ...one, direction: "sendrecv" } : one));
  negotiable.setHeaderExtensionsToNegotiate?.(wanted);
}

/**
 * When what a receiver played last was taken, in milliseconds since 1900 by the server's clock, and `at` which moment of ours it was played; null where
 * nobody said.
 */
export function captured(receiver: RTCRtpReceiver): { taken: number; at: number } | null {
  const source: Source | undefined = receiver.getSynchronizationSources()[0];
  if (source?.captureTimestamp === undefined || source.senderCaptureTimeOffset === undefined) return null;
  return { taken: source.captureTimestamp + source.senderCaptureTimeOffset, at: source.timestamp };
}
