import { describe, expect, it } from "vitest";
import type { Clip, Health } from "@/api/generated/protocol";
import { lost, troubles } from "./words";

function clip(health: Partial<Health> | null, lostMs = 0): Clip {
  const sound: Health = {
    score: 100,
    blackMs: 0,
    frozenMs: 0,
    silentMs: 0,
    flashingMs: 0,
    spoiltMs: 0,
    loudness: -23,
    avOffsetMs: 12,
    findings: [],
  };
  return { lostMs, health: health && { ...sound, ...health } } as Clip;
}

const words = (health: Partial<Health> | null) => troubles(clip(health));

describe("what is wrong with a clip", () => {
  it("names flashes and broken pictures", () => {
    expect(words({ flashingMs: 2_000, spoiltMs: 900 })).toEqual([
      "Flashes for 2\u2009s",
      "Picture broken for 1\u2009s",
    ]);
  });

  it("is nothing in one that is whole, and in one that was not looked at", () => {
    expect(words({})).toEqual([]);
    expect(words(null)).toEqual([]);
    expect(lost(clip(null, 99))).toBeNull();
  });

  it("is said the longest first", () => {
    expect(words({ blackMs: 5_033, silentMs: 12_000, frozenMs: 75_000 })).toEqual([
      "Frozen for 1:15",
      "Silent for 12\u2009s",
      "Black for 5\u2009s",
    ]);
    expect(lost(clip(null, 1_234))).toBe("1.2\u2009s lost");
  });

  it("names sound that is off by more than one notices", () => {
    expect(words({ avOffsetMs: 40 })).toEqual([]);
    expect(words({ avOffsetMs: 300 })).toEqual(["Sound 300\u2009ms late"]);
    expect(words({ avOffsetMs: -80 })).toEqual(["Sound 80\u2009ms early"]);
  });
});
