// What the timeline shows and where: milliseconds of the broadcast to pixels and back. No DOM.

/** A piece of the broadcast's timeline, in milliseconds; `toMs` is not part of it. */
export type Span = { fromMs: number; toMs: number };

/** A frame is at most this wide on the screen: closer brings nothing. */
const FRAME_PX = 48;
/** Share of the window that stays free beside a clip that was fitted into it. */
const MARGIN = 0.06;
const STEPS_MS = [
  10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  1_800_000, 3_600_000, 7_200_000,
];

export const lengthOf = (span: Span): number => span.toMs - span.fromMs;

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), Math.max(low, high));
}

export function toPx(ms: number, view: Span, width: number): number {
  return ((ms - view.fromMs) / Math.max(1e-6, lengthOf(view))) * width;
}

export function toMs(px: number, view: Span, width: number): number {
  return view.fromMs + (px / Math.max(1, width)) * lengthOf(view);
}

/** The least that can be shown: single frames, as wide as makes sense. */
export function closest(width: number, frameMs: number): number {
  return Math.max(frameMs * 2, (Math.max(1, width) / FRAME_PX) * frameMs);
}

/** Moves and shortens a view until it lies within what there is. */
export function within(view: Span, all: Span): Span {
  const length = Math.min(lengthOf(view), lengthOf(all));
  const fromMs = clamp(view.fromMs, all.fromMs, all.toMs - length);
  return { fromMs, toMs: fromMs + length };
}

/** The clip with a little of what is around it. */
export function fitted(span: Span, all: Span): Span {
  const margin = Math.max(200, lengthOf(span) * MARGIN);
  const wide = { fromMs: span.fromMs - margin, toMs: span.toMs + margin };
  return { fromMs: Math.max(wide.fromMs, all.fromMs), toMs: Math.min(wide.toMs, all.toMs) };
}

/** Closer (`factor` above 1) or further, with the place under the pointer or playhead staying where it is. */
export function zoom(view: Span, factor: number, anchorMs: number, all: Span, least: number): Span {
  const before = lengthOf(view);
  const length = clamp(before / factor, Math.min(least, lengthOf(all)), lengthOf(all));
  const anchor = clamp(anchorMs, view.fromMs, view.toMs);
  const share = (anchor - view.fromMs) / Math.max(1e-6, before);
  return within({ fromMs: anchor - share * length, toMs: anchor + (1 - share) * length }, all);
}

export function pan(view: Span, byMs: number, all: Span): Span {
  return within({ fromMs: view.fromMs + byMs, toMs: view.toMs + byMs }, all);
}

/** Brings a place into view, a quarter from the edge it was beyond. */
export function reveal(view: Span, ms: number, all: Span): Span {
  if (ms >= view.fromMs && ms <= view.toMs) return view;
  const length = lengthOf(view);
  const fromMs = ms < view.fromMs ? ms - length / 4 : ms - (length * 3) / 4;
  return within({ fromMs, toMs: fromMs + length }, all);
}

/** 0 shows all there is, 1 single frames; for the zoom slider. Each step of it is the same factor. */
export function zoomLevel(view: Span, all: Span, least: number): number {
  const range = Math.log(lengthOf(all) / Math.min(least, lengthOf(all)));
  return range <= 0 ? 0 : clamp(Math.log(lengthOf(all) / lengthOf(view)) / range, 0, 1);
}

export function atLevel(level: number, view: Span, anchorMs: number, all: Span, least: number): Span {
  const range = Math.log(lengthOf(all) / Math.min(least, lengthOf(all)));
  const wanted = lengthOf(all) / Math.exp(range * level);
  return zoom(view, lengthOf(view) / wanted, anchorMs, all, least);
}

export type Mark = { ms: number; major: boolean };

/** The lines of the ruler: labelled ones at least `apartPx` apart, with four short ones between two of them. */
export function marks(view: Span, width: number, apartPx = 90): { stepMs: number; marks: Mark[] } {
  if (width <= 0 || lengthOf(view) <= 0) return { stepMs: 1_000, marks: [] };
  const perPx = lengthOf(view) / width;
  const stepMs = STEPS_MS.find((step) => step / perPx >= apartPx) ?? 7_200_000;
  const small = stepMs / 5;
  const found: Mark[] = [];
  for (let n = Math.ceil(view.fromMs / small); n * small <= view.toMs; n += 1) {
    found.push({ ms: n * small, major: n % 5 === 0 });
  }
  return { stepMs, marks: found };
}

export const SNAP_PX = 6;

/** The nearest of the points that is within six pixels, or the place itself. */
export function snap(ms: number, points: readonly number[], view: Span, width: number): number {
  const reach = (SNAP_PX / Math.max(1, width)) * lengthOf(view);
  let best = ms;
  let distance = reach;
  for (const point of points) {
    const away = Math.abs(point - ms);
    if (away <= distance) {
      best = point;
      distance = away;
    }
  }
  return best;
}

/** The sorted numbers within a span, found without walking through all. */
export function between(sorted: readonly number[], span: Span): readonly number[] {
  return sorted.slice(firstAtOrAfter(sorted, span.fromMs), firstAtOrAfter(sorted, span.toMs));
}

/** The index of the first number that is not before `ms`. */
export function firstAtOrAfter(sorted: readonly number[], ms: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
