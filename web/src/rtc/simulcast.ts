// Which copies of a picture are sent. A large picture goes out in three sizes, so that the server can give each viewer the one that the
// network carries; a small one only as it is.
import type { VideoCodec } from "./link";

/** Pixels of height from which on smaller copies pay. */
export const SIMULCAST_FROM = 720;

/** Bits per second of a quarter and of half the width. */
const QUARTER = 150_000;
const HALF = 500_000;

/** TypeScript does not know the member yet (W3C WebRTC-SVC §4.2). */
type Encoding = RTCRtpEncodingParameters & { scalabilityMode?: string };
type Size = { width?: number; height?: number };

/** From the smallest to the largest, as browsers want them. */
export function encodings(
  size: Size,
  { codec, videoBitrate, framerate }: { codec: VideoCodec; videoBitrate: number; framerate: number },
): Encoding[] {
  // Without it Chromium sends several encodings of VP9 as layers of one stream, of which nobody could be given the smallest alone.
  const apart = codec === "vp9" || codec === "av1" ? { scalabilityMode: "L1T1" } : {};
  const whole = { maxBitrate: videoBitrate, maxFramerate: framerate };
  // A phone held upright has its height in its width.
  if (Math.min(size.width ?? 0, size.height ?? 0) < SIMULCAST_FROM) return [whole];
  return [
    { rid: "q", scaleResolutionDownBy: 4, maxBitrate: QUARTER, maxFramerate: framerate, ...apart },
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: HALF, maxFramerate: framerate, ...apart },
    { rid: "f", scaleResolutionDownBy: 1, ...whole, ...apart },
  ];
}

/** The same with less to send: a lower rate, or without the largest picture. */
export function less(
  sent: readonly RTCRtpEncodingParameters[],
  how: "rate" | "size",
  rate: number,
): RTCRtpEncodingParameters[] {
  const [only] = sent;
  if (how === "rate")
    return sent.map((one) => ({ ...one, maxBitrate: Math.min(one.maxBitrate ?? rate, rate) }));
  if (sent.length === 1 && only) return [{ ...only, scaleResolutionDownBy: 2 }];
  const largest = Math.min(...sent.map((one) => one.scaleResolutionDownBy ?? 1));
  return sent.map((one) => ((one.scaleResolutionDownBy ?? 1) === largest ? { ...one, active: false } : one));
}
