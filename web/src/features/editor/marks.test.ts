import { describe, expect, it } from "vitest";
import type { Finding } from "@/api/generated/protocol";
import { place } from "./marks";

const clip = { fromMs: 10_000, toMs: 20_000 };
const found = (kind: Finding["kind"], fromMs: number, toMs: number): Finding => ({ kind, fromMs, toMs });

describe("marks on the timeline", () => {
  it("lie where the clip lies, in the time of the timeline", () => {
    const [mark] = place([found("black", 2_000, 5_000)], clip, { fromMs: 0, toMs: 40_000 }, 400);
    expect(mark).toMatchObject({ fromMs: 12_000, toMs: 15_000, left: 120, bar: 30, row: 0, outside: false });
  });

  it("can be pressed however short they are, up to the edge", () => {
    const [mark] = place([found("spoilt", 9_990, 10_020)], clip, clip, 400);
    expect(mark).toMatchObject({ toMs: 20_000, target: 24, bar: 4, left: 376 });
  });

  it("give way to each other, but not to those of the sound", () => {
    const all = [
      found("silent", 0, 9_000),
      found("frozen", 0, 4_000),
      found("flashing", 3_000, 6_000),
      found("black", 5_000, 8_000),
      found("held", 5_500, 8_000),
      found("spoilt", 5_700, 8_000),
    ];
    const rows = place(all, clip, clip, 400).map((mark) => mark.row);
    expect(rows).toEqual([0, 0, 1, 0, 2, 2]);
  });

  it("stay for the keyboard where they are not seen", () => {
    const view = { fromMs: 14_000, toMs: 15_000 };
    const marks = place([found("black", 0, 2_000), found("black", 3_000, 9_000)], clip, view, 400);
    expect(marks.map((mark) => mark.outside)).toEqual([true, false]);
    expect(marks[1]).toMatchObject({ left: 0, bar: 400 });
  });
});
