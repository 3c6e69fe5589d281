import { describe, expect, it } from "vitest";
import { carries, codecOf, refuses, withStartBitrate, withStereo } from "./sdp";

const SDP = [
  "v=0",
  "s=-",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
  "a=rtpmap:111 opus/48000/2",
  "a=fmtp:111 minptime=10;useinbandfec=1",
  "a=rtpmap:0 PCMU/8000",
  "m=video 9 UDP/TLS/RTP/SAVPF 96 102 97",
  "a=rtpmap:96 VP8/90000",
  "a=rtpmap:97 rtx/90000",
  "a=fmtp:97 apt=96",
  "a=rtpmap:102 H264/90000",
  "a=fmtp:102 packetization-mode=1",
  "",
].join("\r\n");

describe("withStereo", () => {
  it("adds the parameter to Opus alone, once", () => {
    const once = withStereo(SDP);
    expect(once).toContain("a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n");
    expect(once.match(/stereo=1/g)).toHaveLength(1);
    expect(withStereo(once)).toBe(once);
  });

  it("changes nothing else", () => {
    expect(withStereo(SDP).replace(";stereo=1", "")).toBe(SDP);
  });
});

it("withStartBitrate reaches H.264 and makes VP8's line", () => {
  const result = withStartBitrate(SDP, 1250);
  expect(result).toContain("a=fmtp:102 packetization-mode=1;x-google-start-bitrate=1250\r\n");
  expect(result).toContain("a=fmtp:96 x-google-start-bitrate=1250\r\n");
  expect(result).toContain("a=fmtp:97 apt=96\r\n");
});

describe("refuses", () => {
  it.each([
    ["m=video 0 UDP/TLS/RTP/SAVPF 96\r\n", true],
    ["m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n", true],
    ["m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", true],
    ["m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", false],
  ])("%j: %s", (answer, expected) => {
    expect(refuses(`v=0\r\n${answer}`, "video")).toBe(expected);
  });
});

describe("carries", () => {
  it("wants the codec on air, not only some picture", () => {
    expect(carries(SDP, "video", "vp8")).toBe(true);
    expect(carries(SDP, "video", "av1")).toBe(false);
    expect(carries(SDP.replace("m=video 9", "m=video 0"), "video", "vp8")).toBe(false);
    expect(carries("v=0\r\n", "video", "vp8")).toBe(false);
  });
});

it("codecOf reads what is put first", () => {
  expect(codecOf(SDP, "video")).toBe("vp8");
  expect(codecOf(SDP, "audio")).toBe("opus");
  expect(codecOf("v=0\r\n", "video")).toBeNull();
});
