import { expect, it, vi } from "vitest";
import { CAPTURE_TIME, captured, DEPENDENCIES, want } from "./extensions";

it("asks for what is known and leaves the rest as it is", () => {
  const set = vi.fn();
  const extensions = [
    { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", direction: "sendrecv" },
    { uri: "urn:other", direction: "stopped" },
    { uri: CAPTURE_TIME, direction: "stopped" },
  ];
  const transceiver = {
    getHeaderExtensionsToNegotiate: () => extensions,
    setHeaderExtensionsToNegotiate: set,
  };
  want(transceiver as unknown as RTCRtpTransceiver, CAPTURE_TIME, DEPENDENCIES);
  const [mid, other] = extensions;
  expect(set).toHaveBeenCalledExactlyOnceWith([mid, other, { uri: CAPTURE_TIME, direction: "sendrecv" }]);
});

it("leaves browsers alone that know nothing of it", () => {
  const set = vi.fn();
  const transceiver = { getHeaderExtensionsToNegotiate: () => [], setHeaderExtensionsToNegotiate: set };
  want(transceiver as unknown as RTCRtpTransceiver, CAPTURE_TIME);
  want({} as RTCRtpTransceiver, CAPTURE_TIME);
  expect(set).not.toHaveBeenCalled();
});

it("lays the time of capture on the server's clock", () => {
  const receiver = (source: object[]) =>
    ({ getSynchronizationSources: () => source }) as unknown as RTCRtpReceiver;
  const source = { timestamp: 5_000, captureTimestamp: 7_000, senderCaptureTimeOffset: -2_100 };
  expect(captured(receiver([source]))).toEqual({ taken: 4_900, at: 5_000 });
  for (const sources of [[], [{ timestamp: 5_000 }], [{ timestamp: 5_000, captureTimestamp: 7_000 }]])
    expect(captured(receiver(sources))).toBeNull();
});
