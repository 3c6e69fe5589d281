// J, K and L: each press of L goes faster forward, each of J faster back, K stops.

/** Times the usual speed; 0 stands still. */
export type Speed = -4 | -2 | -1 | 0 | 1 | 2 | 4;

const FORWARD: readonly Speed[] = [1, 2, 4];
const BACK: readonly Speed[] = [-1, -2, -4];

/** The speed after a press. The first press in the other direction starts slowly there. */
export function press(key: "j" | "k" | "l", speed: Speed): Speed {
  if (key === "k") return 0;
  const steps = key === "l" ? FORWARD : BACK;
  return steps[Math.min(steps.indexOf(speed) + 1, steps.length - 1)] ?? 0;
}

/** Where backward play is after a while: seeks, since browsers play in one direction only. */
export function backwards(fromMs: number, speed: Speed, elapsedMs: number, lowestMs: number): number {
  return Math.max(lowestMs, fromMs + speed * elapsedMs);
}
