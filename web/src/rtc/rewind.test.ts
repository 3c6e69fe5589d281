import { expect, it } from "vitest";
import { momentOf, secondsOf } from "./rewind";

const ZERO = 1_700_000_000_000;
/** Two segments of two seconds, ten seconds of nothing, one more. */
const SPANS = [
  { start: 0, duration: 2, programDateTime: ZERO },
  { start: 2, duration: 2, programDateTime: ZERO + 2_000 },
  { start: 4, duration: 2, programDateTime: ZERO + 14_000 },
];

it("finds the place of a moment, and the moment of a place", () => {
  for (const [at, seconds] of [
    [0, 0],
    [1_500, 1.5],
    [2_000, 2],
    [3_900, 3.9],
    [14_000, 4],
    [15_500, 5.5],
  ] as const) {
    expect(secondsOf(SPANS, ZERO + at)).toBeCloseTo(seconds);
    expect(momentOf(SPANS, seconds)).toBeCloseTo(ZERO + at);
  }
});

it("goes to what was recorded where something is missing", () => {
  expect(secondsOf(SPANS, ZERO - 5_000)).toBe(0);
  expect(secondsOf(SPANS, ZERO + 9_000)).toBe(4);
  expect(secondsOf(SPANS, ZERO + 60_000)).toBe(6);
  expect(momentOf(SPANS, Number.POSITIVE_INFINITY)).toBe(ZERO + 16_000);
  expect(momentOf(SPANS, -1)).toBe(ZERO);
});

it("says nothing of nothing", () => {
  expect(secondsOf([], ZERO)).toBeNull();
  expect(momentOf([], 1)).toBeNull();
  expect(secondsOf([{ start: 0, duration: 2, programDateTime: null }], ZERO)).toBeNull();
});
