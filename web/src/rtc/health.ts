// What a connection's statistics say about a broadcast: figures once a second, and a verdict in words' place (a name; the words are
// in the messages). Pure but for `measure`, which reads the browser.

export type Sample = {
  /** UTC milliseconds. */
  at: number;
  /** Bits per second of pictures sent. */
  bitrate: number | null;
  /** Pictures sent per second, and how many the source gave. */
  frames: number | null;
  sourceFrames: number | null;
  roundTripMs: number | null;
  /** Share of packets lost on the way to the server, 0 to 1. */
  loss: number | null;
  width: number;
  height: number;
  /** What the encoder is held back by. */
  limited: "none" | "cpu" | "bandwidth" | "other";
  /** Packets of any kind sent since the last sample. */
  packets: number;
};

export type Verdict = "good" | "watch" | "noticed" | "none";

/** Gauges keep two minutes. */
export const HISTORY = 120;

type Totals = {
  at: number;
  bytes: number;
  frames: number;
  source: number | null;
  packets: number;
  audioPackets: number;
};

/** Turns the browser's running totals into figures per second. One per connection. */
export class Meter {
  #last: Totals | null = null;

  async measure(pc: RTCPeerConnection): Promise<Sample | null> {
    return this.read([...(await pc.getStats()).values()], Date.now());
  }

  /** Null for the first reading, which has nothing to compare with. */
  read(reports: Record<string, unknown>[], at: number): Sample | null {
    const number = (value: unknown) => (typeof value === "number" ? value : 0);
    const of = (type: string, kind?: string) =>
      reports.filter((report) => report.type === type && (kind === undefined || report.kind === kind));
    // One per size that is sent; the largest speaks for the picture.
    const pictures = of("outbound-rtp", "video");
    const height = (report: Record<string, unknown>) => number(report.frameHeight);
    const video = pictures.reduce<Record<string, unknown> | undefined>(
      (best, one) => (best === undefined || height(one) > height(best) ? one : best),
      undefined,
    );
    const sum = (name: string) => pictures.reduce((total, one) => total + number(one[name]), 0);
    const audio = of("outbound-rtp", "audio")[0];
    const remotes = of("remote-inbound-rtp", video ? "video" : "audio");
    const remote = remotes.find((one) => one.localId === video?.id) ?? remotes[0];
    const source = of("media-source", "video")[0];
    const pair = of("candidate-pair").find(
      (report) => report.nominated === true && report.state === "succeeded",
    );
    const totals: Totals = {
      at,
      bytes: sum("bytesSent"),
      frames: number(video?.framesSent ?? video?.framesEncoded),
      source: typeof source?.frames === "number" ? source.frames : null,
      packets: sum("packetsSent"),
      audioPackets: number(audio?.packetsSent),
    };
    const last = this.#last;
    this.#last = totals;
    if (last === null || totals.at <= last.at) return null;
    const seconds = (totals.at - last.at) / 1_000;
    const roundTrip = remote?.roundTripTime ?? pair?.currentRoundTripTime;
    return {
      at,
      bitrate: video ? Math.max(0, ((totals.bytes - last.bytes) * 8) / seconds) : null,
      frames: video ? Math.max(0, (totals.frames - last.frames) / seconds) : null,
      sourceFrames:
        totals.source !== null && last.source !== null
          ? Math.max(0, (totals.source - last.source) / seconds)
          : null,
      roundTripMs: typeof roundTrip === "number" ? roundTrip * 1_000 : null,
      loss: typeof remote?.fractionLost === "number" ? remote.fractionLost : null,
      width: number(video?.frameWidth),
      height: number(video?.frameHeight),
      limited: limit(video?.qualityLimitationReason),
      packets: totals.packets - last.packets + (totals.audioPackets - last.audioPackets),
    };
  }
}

function limit(reason: unknown): Sample["limited"] {
  return reason === "cpu" || reason === "bandwidth" || reason === "other" ? reason : "none";
}

export type Grade = "good" | "watch" | "bad";

export function gradeOfLoss(loss: number): Grade {
  return loss < 0.01 ? "good" : loss <= 0.05 ? "watch" : "bad";
}

export function gradeOfRoundTrip(ms: number): Grade {
  return ms < 150 ? "good" : ms <= 300 ? "watch" : "bad";
}

/** `share`: pictures sent of those the source gave. */
export function gradeOfFrames(share: number): Grade {
  return share >= 0.95 ? "good" : share >= 0.85 ? "watch" : "bad";
}

export function gradesOf(sample: Sample): { loss: Grade; roundTrip: Grade; frames: Grade } {
  const { frames, sourceFrames, loss, roundTripMs } = sample;
  return {
    loss: loss === null ? "good" : gradeOfLoss(loss),
    roundTrip: roundTripMs === null ? "good" : gradeOfRoundTrip(roundTripMs),
    frames: frames === null || !sourceFrames ? "good" : gradeOfFrames(frames / sourceFrames),
  };
}

/** Two seconds without media are no signal; something bad for five seconds is noticed by viewers. */
export function verdict(samples: readonly Sample[]): Verdict {
  const recent = samples.slice(-5);
  const last = recent[recent.length - 1];
  if (last === undefined) return "none";
  const quiet = samples.slice(-2);
  if (quiet.length === 2 && quiet.every((sample) => sample.packets === 0)) return "none";
  const isBad = (sample: Sample) => Object.values(gradesOf(sample)).includes("bad");
  if (recent.length === 5 && recent.every(isBad)) return "noticed";
  // A single second says little: the median of five decides.
  const uneasy = recent.filter((sample) => Object.values(gradesOf(sample)).some((grade) => grade !== "good"));
  return uneasy.length > recent.length / 2 ? "watch" : "good";
}

export type Advice = "loss" | "round-trip" | "cpu" | "bandwidth" | "frames";

/** What to look at, worst first, at most two. Said only of what lasts: more than half of the last ten seconds. */
export function advise(samples: readonly Sample[]): Advice[] {
  const recent = samples.slice(-10);
  if (recent.length < 5) return [];
  const lasts = (test: (sample: Sample) => boolean) => recent.filter(test).length > recent.length / 2;
  const found: Advice[] = [];
  if (lasts((s) => gradesOf(s).loss !== "good")) found.push("loss");
  if (lasts((s) => s.limited === "cpu")) found.push("cpu");
  else if (lasts((s) => s.limited === "bandwidth")) found.push("bandwidth");
  else if (lasts((s) => gradesOf(s).frames !== "good")) found.push("frames");
  if (lasts((s) => gradesOf(s).roundTrip !== "good")) found.push("round-trip");
  return found.slice(0, 2);
}
