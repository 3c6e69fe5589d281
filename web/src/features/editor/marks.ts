// Where the marks of what was found in a clip lie on the timeline. No DOM.
import type { Finding } from "@/api/generated/protocol";
import { clamp, type Span, toPx } from "./view";

/** Pixels: below that a mark is not seen. */
const NARROWEST = 4;
/** Pixels that can be pressed. */
const TARGET = 24;
/** Marks of the picture that overlap lie in so many rows. */
const ROWS = 3;

export type Mark = Finding & {
  /** Pixels from the left edge of the timeline. */
  left: number;
  /** Pixels that can be pressed. */
  target: number;
  /** Pixels that are seen. */
  bar: number;
  row: number;
  /** It lies beside what is shown, and is there for the keyboard alone. */
  outside: boolean;
};

/** `findings` in the clip's own time, the marks in that of the timeline. */
export function place(findings: readonly Finding[], clip: Span, view: Span, width: number): Mark[] {
  /** Where the last mark of each row ends. Sound has a lane of its own. */
  const ends = Array.from({ length: ROWS }, () => Number.NEGATIVE_INFINITY);
  return findings.map(({ kind, ...found }) => {
    const fromMs = clip.fromMs + found.fromMs;
    const toMs = Math.min(clip.fromMs + found.toMs, clip.toMs);
    const [from, to] = [toPx(fromMs, view, width), toPx(toMs, view, width)];
    const outside = to <= 0 || from >= width;
    const bar = Math.max(NARROWEST, clamp(to, 0, width) - clamp(from, 0, width));
    const target = Math.max(TARGET, bar);
    const left = clamp(from, 0, width - target);
    const mark = { kind, fromMs, toMs, left, target, bar, outside };
    if (outside || kind === "silent") return { ...mark, row: 0 };
    const free = ends.findIndex((end) => end <= left);
    const row = free < 0 ? ROWS - 1 : free;
    ends[row] = left + target;
    return { ...mark, row };
  });
}
