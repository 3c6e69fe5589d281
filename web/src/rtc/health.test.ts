import { describe, expect, it } from "vitest";
import { advise, gradeOfFrames, gradeOfLoss, gradeOfRoundTrip, Meter, type Sample, verdict } from "./health";

const good: Sample = {
  at: 0,
  bitrate: 2_400_000,
  frames: 30,
  sourceFrames: 30,
  roundTripMs: 20,
  loss: 0,
  width: 1280,
  height: 720,
  limited: "none",
  packets: 300,
};
const many = (count: number, part: Partial<Sample> = {}) =>
  Array.from({ length: count }, () => ({ ...good, ...part }));

describe("grades follow the brief", () => {
  it("loss: 1 % and 5 %", () => {
    expect([0, 0.009, 0.01, 0.05, 0.051].map(gradeOfLoss)).toEqual(["good", "good", "watch", "watch", "bad"]);
  });
  it("round trip: 150 and 300 ms", () => {
    expect([149, 150, 300, 301].map(gradeOfRoundTrip)).toEqual(["good", "watch", "watch", "bad"]);
  });
  it("frames: 95 % and 85 %", () => {
    expect([0.95, 0.94, 0.85, 0.84].map(gradeOfFrames)).toEqual(["good", "watch", "watch", "bad"]);
  });
});

describe("verdict", () => {
  it("is good when all is well", () => expect(verdict(many(10))).toBe("good"));
  it("has no signal before the first sample", () => expect(verdict([])).toBe("none"));
  it("has no signal after two seconds without packets", () => {
    expect(verdict([...many(5), ...many(1, { packets: 0 })])).toBe("good");
    expect(verdict([...many(5), ...many(2, { packets: 0 })])).toBe("none");
  });
  it("lets one bad second pass", () => {
    expect(verdict([...many(5), ...many(1, { loss: 0.2 })])).toBe("good");
  });
  it("says watch for three of five, noticed for five of five", () => {
    expect(verdict([...many(2), ...many(3, { loss: 0.2 })])).toBe("watch");
    expect(verdict(many(5, { loss: 0.2 }))).toBe("noticed");
    expect(verdict(many(5, { loss: 0.03 }))).toBe("watch");
  });
});

describe("advise", () => {
  it("says nothing of a moment", () => expect(advise([...many(8), ...many(2, { loss: 0.3 })])).toEqual([]));
  it("names what lasts, at most two", () => {
    expect(advise(many(10, { loss: 0.1, limited: "cpu", roundTripMs: 500 }))).toEqual(["loss", "cpu"]);
    expect(advise(many(10, { limited: "bandwidth" }))).toEqual(["bandwidth"]);
    expect(advise(many(10, { frames: 10 }))).toEqual(["frames"]);
  });
});

describe("Meter", () => {
  const reports = (seconds: number, extra: Record<string, unknown> = {}) => [
    {
      type: "outbound-rtp",
      kind: "video",
      bytesSent: 250_000 * seconds,
      framesSent: 30 * seconds,
      packetsSent: 250 * seconds,
      frameWidth: 1280,
      frameHeight: 720,
      ...extra,
    },
    { type: "outbound-rtp", kind: "audio", packetsSent: 50 * seconds },
    { type: "remote-inbound-rtp", kind: "video", roundTripTime: 0.04, fractionLost: 0.02 },
    { type: "media-source", kind: "video", frames: 30 * seconds },
  ];

  it("needs two readings and gives figures per second", () => {
    const meter = new Meter();
    expect(meter.read(reports(1), 1_000)).toBeNull();
    expect(meter.read(reports(3), 3_000)).toEqual({
      at: 3_000,
      bitrate: 2_000_000,
      frames: 30,
      sourceFrames: 30,
      roundTripMs: 40,
      loss: 0.02,
      width: 1280,
      height: 720,
      limited: "none",
      packets: 600,
    });
  });

  it("knows what the encoder is held back by", () => {
    const meter = new Meter();
    meter.read(reports(1), 1_000);
    expect(meter.read(reports(2, { qualityLimitationReason: "cpu" }), 2_000)?.limited).toBe("cpu");
  });

  it("has no picture figures for sound only", () => {
    const meter = new Meter();
    const sound = (seconds: number) => [{ type: "outbound-rtp", kind: "audio", packetsSent: 50 * seconds }];
    meter.read(sound(1), 1_000);
    expect(meter.read(sound(2), 2_000)).toMatchObject({
      bitrate: null,
      frames: null,
      loss: null,
      packets: 50,
    });
  });
});
