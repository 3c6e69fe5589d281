import { describe, expect, it } from "vitest";
import { clock, codecName, length, size, spoken } from "./format";
import { arcsOf } from "./river";

describe("format", () => {
  it.each([
    [0, "0:00"],
    [31_900, "0:31"],
    [760_000, "12:40"],
    [4_360_000, "1:12:40"],
    [-5, "0:00"],
  ])("clock(%d)", (ms, expected) => expect(clock(ms)).toBe(expected));

  it.each([
    [0, "0 seconds"],
    [42_400, "42 seconds"],
    [60_000, "1 minute"],
    [250_000, "4 minutes 10 seconds"],
    [4_360_000, "1 hour 12 minutes"],
    [7_200_000, "2 hours"],
  ])("spoken(%d)", (ms, expected) => expect(spoken(ms)).toBe(expected));

  it("rounds lengths and never shows nothing", () => {
    expect([200, 4_980, 59_700].map(length)).toEqual(["0:01", "0:05", "1:00"]);
  });

  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_500, "1.5 kB"],
    [12_345_678, "12.3 MB"],
    [123_456_789, "123 MB"],
    [1_900_000_000, "1.9 GB"],
  ])("size(%d)", (bytes, expected) => expect(size(bytes).replace("\u2009", " ")).toBe(expected));

  it("names codecs as people do", () =>
    expect([codecName("h264"), codecName("vp8"), codecName(null)]).toEqual(["H.264", "VP8", ""]));
});

describe("arcsOf", () => {
  const clip = (id: string, startMs: number, endMs: number) => ({ id, startMs, endMs, title: id });

  it("is empty before the width is known", () => expect(arcsOf([clip("a", 0, 10)], 100, 0)).toEqual([]));

  it("keeps neighbours apart that are wide enough", () => {
    const arcs = arcsOf([clip("b", 50, 100), clip("a", 0, 50)], 100, 400);
    expect(arcs.map((arc) => arc.clips.length)).toEqual([1, 1]);
    expect(arcs[0]?.clips[0]?.id).toBe("a");
  });

  it("merges arcs nearer than 12 pixels and counts them", () => {
    const arcs = arcsOf([clip("a", 0, 1), clip("b", 1, 2), clip("c", 90, 91)], 100, 400);
    expect(arcs.map((arc) => arc.clips.length)).toEqual([2, 1]);
  });

  it("draws nothing narrower than 10 pixels, inside the line", () => {
    const [arc] = arcsOf([clip("a", 0, 1)], 36_000, 400);
    expect(arc && arc.to - arc.from).toBeGreaterThanOrEqual(4);
    expect(arc?.from).toBeGreaterThanOrEqual(1);
  });
});
