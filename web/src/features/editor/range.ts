// In and out: the piece that is cut. All in milliseconds of the broadcast's timeline; out is the first that is not in it.
import { clamp, firstAtOrAfter, type Span } from "./view";

export type Range = { inMs: number; outMs: number };
export type Edge = "in" | "out";

/**
 * Moves an edge, within what is kept. The two never come closer than `leastMs`, a frame; an edge that is set beyond the other
 * takes the other along to the end of what is kept, as editors do.
 */
export function setEdge(range: Range, edge: Edge, ms: number, kept: Span, leastMs: number): Range {
  if (edge === "in") {
    const inMs = clamp(ms, kept.fromMs, kept.toMs - leastMs);
    return { inMs, outMs: range.outMs - inMs >= leastMs ? range.outMs : kept.toMs };
  }
  const outMs = clamp(ms, kept.fromMs + leastMs, kept.toMs);
  return { inMs: outMs - range.inMs >= leastMs ? range.inMs : kept.fromMs, outMs };
}

/** Moves an edge as a handle does: it stops at the other. */
export function dragEdge(range: Range, edge: Edge, ms: number, kept: Span, leastMs: number): Range {
  return edge === "in"
    ? { ...range, inMs: clamp(ms, kept.fromMs, range.outMs - leastMs) }
    : { ...range, outMs: clamp(ms, range.inMs + leastMs, kept.toMs) };
}

export function sameRange(a: Range, b: Range): boolean {
  return a.inMs === b.inMs && a.outMs === b.outMs;
}

/** Where Up and Down go: the ends of the clip, in and out. */
export function editPoints(range: Range, clip: Span): number[] {
  return [...new Set([clip.fromMs, range.inMs, range.outMs, clip.toMs])].sort((a, b) => a - b);
}

/** The next such point on one side, or where we are. Half a frame is not another place. */
export function nextPoint(points: readonly number[], ms: number, direction: 1 | -1, frameMs: number): number {
  const beyond = points.filter((point) => (point - ms) * direction > frameMs / 2);
  return (direction === 1 ? beyond[0] : beyond[beyond.length - 1]) ?? ms;
}

/** Where a cut without re-encoding would begin: the keyframe at or before; null when it is not known. */
export function fastStart(inMs: number, keyframesMs: readonly number[]): number | null {
  // Keyframe times are whole milliseconds and may be rounded up.
  return keyframesMs[firstAtOrAfter(keyframesMs, inMs + 1) - 1] ?? null;
}

/** 52:17.633; hours only where there are any. */
export function timecode(ms: number): string {
  const total = Math.max(0, Math.round(ms));
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor(total / 60_000) % 60;
  const seconds = `${two(Math.floor(total / 1_000) % 60)}.${String(total % 1_000).padStart(3, "0")}`;
  const hours = Math.floor(total / 3_600_000);
  return hours > 0 ? `${hours}:${two(minutes)}:${seconds}` : `${minutes}:${seconds}`;
}

/** Reads what `timecode` writes and what people type: "12.5", "1:02", "1:02:03.25", a comma as well. Null for anything else. */
export function readTimecode(text: string): number | null {
  const match = /^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,5})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  if (!match) return null;
  const [, hours = "0", minutes = "0", seconds = "0", fraction = ""] = match;
  const whole = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
  return whole * 1_000 + Number(fraction.padEnd(3, "0"));
}
