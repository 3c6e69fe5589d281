// The range of a clip that is being chosen, and how its handles move. Milliseconds of one timeline throughout.

export type Range = { from: number; to: number };
export type Grip = "from" | "to" | "both";
/** What may be chosen from, and how long a choice may be. */
export type Bounds = Range & { shortest: number; longest: number };

const WINDOW = 120_000;
const SHORTEST = 5_000;
const LONGEST = 90_000;
const USUAL = 30_000;

/** The last two minutes before `edge`, and the half minute that most people want. */
export function lastMoments(edge: number): { bounds: Bounds; range: Range } {
  const from = Math.max(0, edge - WINDOW);
  const bounds = { from, to: edge, shortest: Math.min(SHORTEST, edge - from), longest: LONGEST };
  return { bounds, range: { from: Math.max(from, edge - USUAL), to: edge } };
}

/** The range with one handle brought to `at`, or the whole of it so that it begins there. The other handle gives way where it must. */
export function moved(range: Range, grip: Grip, at: number, bounds: Bounds): Range {
  const length = range.to - range.from;
  switch (grip) {
    case "both": {
      const from = clamp(at, bounds.from, bounds.to - length);
      return { from, to: from + length };
    }
    case "from": {
      const from = clamp(at, bounds.from, bounds.to - bounds.shortest);
      return { from, to: clamp(range.to, from + bounds.shortest, from + bounds.longest) };
    }
    case "to": {
      const to = clamp(at, bounds.from + bounds.shortest, bounds.to);
      return { from: clamp(range.from, to - bounds.longest, to - bounds.shortest), to };
    }
  }
}

/** The last `ms` of the range's own end. */
export function lasting(range: Range, ms: number, bounds: Bounds): Range {
  const length = clamp(ms, bounds.shortest, Math.min(bounds.longest, bounds.to - bounds.from));
  return range.to - length >= bounds.from
    ? { from: range.to - length, to: range.to }
    : { from: bounds.from, to: bounds.from + length };
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
