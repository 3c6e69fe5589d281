import { describe, expect, it } from "vitest";
import type { VideoCodec } from "./link";
import { encodings, less } from "./simulcast";

const options = { codec: "h264" as const, videoBitrate: 2_500_000, framerate: 30 };
const scales = (sent: RTCRtpEncodingParameters[]) => sent.map((one) => [one.rid, one.scaleResolutionDownBy]);

describe("encodings", () => {
  it("are three for a large picture, the smallest first", () => {
    const three = [
      ["q", 4],
      ["h", 2],
      ["f", 1],
    ];
    expect(scales(encodings({ width: 1280, height: 720 }, options))).toEqual(three);
    expect(scales(encodings({ width: 1080, height: 1920 }, options))).toEqual(three);
  });
  it("are streams of their own in formats that could also layer one", () => {
    const modes = (codec: VideoCodec) =>
      encodings({ width: 1280, height: 720 }, { ...options, codec }).map((one) => one.scalabilityMode);
    expect([modes("vp9"), modes("av1")]).toEqual([Array(3).fill("L1T1"), Array(3).fill("L1T1")]);
    expect(modes("vp8")).toEqual([undefined, undefined, undefined]);
  });
  it("are one for a small picture or one of unknown size", () => {
    const one = [{ maxBitrate: 2_500_000, maxFramerate: 30 }];
    expect(encodings({ width: 640, height: 360 }, options)).toEqual(one);
    expect(encodings({}, options)).toEqual(one);
  });
});

describe("less", () => {
  const sent = encodings({ width: 1280, height: 720 }, options);
  it("lowers only rates that are higher", () => {
    expect(less(sent, "rate", 1_200_000).map((one) => one.maxBitrate)).toEqual([150_000, 500_000, 1_200_000]);
  });
  it("leaves the largest picture out", () => {
    expect(less(sent, "size", 0).map((one) => one.active)).toEqual([undefined, undefined, false]);
  });
  it("halves a single picture", () => {
    expect(less([{ maxBitrate: 1 }], "size", 0)).toEqual([{ maxBitrate: 1, scaleResolutionDownBy: 2 }]);
  });
});
