// Undo and redo of values. Steps of one kind that follow each other closely are one step, as in a word that is being typed.

export type History<T> = {
  readonly past: readonly T[];
  readonly now: T;
  readonly future: readonly T[];
  /** What the last step was, and when. */
  readonly last: { kind: string; atMs: number } | null;
};

/** Steps that can be undone. */
export const DEPTH = 200;
const TOGETHER_MS = 1_000;

export function begin<T>(now: T): History<T> {
  return { past: [], now, future: [], last: null };
}

export function record<T>(history: History<T>, now: T, kind: string, atMs: number): History<T> {
  const { last } = history;
  const together = last !== null && last.kind === kind && atMs - last.atMs < TOGETHER_MS;
  const past = together && history.past.length > 0 ? history.past : [...history.past, history.now];
  return { past: past.slice(-DEPTH), now, future: [], last: { kind, atMs } };
}

export function undo<T>(history: History<T>): History<T> {
  const before = history.past[history.past.length - 1];
  if (before === undefined) return history;
  return {
    past: history.past.slice(0, -1),
    now: before,
    future: [history.now, ...history.future],
    last: null,
  };
}

export function redo<T>(history: History<T>): History<T> {
  const [next, ...rest] = history.future;
  if (next === undefined) return history;
  return { past: [...history.past, history.now], now: next, future: rest, last: null };
}

/** The same steps on values that were changed from outside, for instance by another editor. */
export function rewrite<T>(history: History<T>, change: (value: T) => T): History<T> {
  return {
    past: history.past.map(change),
    now: change(history.now),
    future: history.future.map(change),
    last: null,
  };
}
