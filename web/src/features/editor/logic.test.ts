import { describe, expect, it } from "vitest";
import { begin, DEPTH, record, redo, rewrite, undo } from "./history";
import { dragEdge, editPoints, fastStart, nextPoint, readTimecode, setEdge, timecode } from "./range";
import { backwards, press, type Speed } from "./shuttle";
import {
  atLevel,
  between,
  closest,
  fitted,
  lengthOf,
  marks,
  pan,
  reveal,
  snap,
  toMs,
  toPx,
  zoom,
  zoomLevel,
} from "./view";

const ALL = { fromMs: 0, toMs: 100_000 };
const FRAME = 1_000 / 30;

describe("timeline", () => {
  it("pixels and milliseconds are each other's inverse", () => {
    const view = { fromMs: 31_000, toMs: 47_500 };
    for (const ms of [31_000, 33_333, 47_500])
      expect(toMs(toPx(ms, view, 1_296), view, 1_296)).toBeCloseTo(ms, 6);
  });

  it("zoom keeps the place under the pointer where it is and stays within what there is", () => {
    const view = { fromMs: 20_000, toMs: 60_000 };
    const near = zoom(view, 2, 30_000, ALL, 500);
    expect(near).toEqual({ fromMs: 25_000, toMs: 45_000 });
    expect(toPx(30_000, near, 1_000)).toBeCloseTo(toPx(30_000, view, 1_000), 6);
    expect(zoom(view, 0.01, 30_000, ALL, 500)).toEqual(ALL);
    expect(lengthOf(zoom(view, 1e9, 30_000, ALL, 500))).toBe(500);
    // At the edge it moves instead of showing what is not there.
    expect(zoom({ fromMs: 0, toMs: 10_000 }, 0.5, 10_000, ALL, 500)).toEqual({ fromMs: 0, toMs: 20_000 });
  });

  it("the closest view shows single frames", () => {
    const least = closest(960, FRAME);
    expect(FRAME / (least / 960)).toBeCloseTo(48, 6);
  });

  it("the slider's two ends are all and single frames, and its places come back", () => {
    const least = closest(960, FRAME);
    const view = atLevel(0.4, ALL, 50_000, ALL, least);
    expect(zoomLevel(view, ALL, least)).toBeCloseTo(0.4, 6);
    expect(zoomLevel(ALL, ALL, least)).toBe(0);
    expect(zoomLevel(atLevel(1, ALL, 50_000, ALL, least), ALL, least)).toBeCloseTo(1, 6);
  });

  it("fit, pan and reveal do not leave the recording", () => {
    expect(fitted({ fromMs: 1_000, toMs: 11_000 }, ALL)).toEqual({ fromMs: 400, toMs: 11_600 });
    expect(fitted({ fromMs: 0, toMs: 100_000 }, ALL)).toEqual(ALL);
    expect(pan({ fromMs: 90_000, toMs: 99_000 }, 5_000, ALL)).toEqual({ fromMs: 91_000, toMs: 100_000 });
    expect(reveal({ fromMs: 0, toMs: 8_000 }, 50_000, ALL)).toEqual({ fromMs: 44_000, toMs: 52_000 });
    expect(reveal({ fromMs: 0, toMs: 8_000 }, 8_000, ALL)).toEqual({ fromMs: 0, toMs: 8_000 });
  });

  it("the ruler has round numbers, labelled far enough apart", () => {
    const { stepMs, marks: found } = marks({ fromMs: 51_300, toMs: 111_300 }, 1_200);
    expect(stepMs).toBe(5_000);
    const major = found.filter((mark) => mark.major).map((mark) => mark.ms);
    expect(major[0]).toBe(55_000);
    expect(found[0]?.ms).toBe(52_000);
    expect(marks({ fromMs: 0, toMs: 0 }, 1_200).marks).toEqual([]);
    // Ten hours on a phone are still few lines.
    expect(marks({ fromMs: 0, toMs: 36_000_000 }, 360).marks.length).toBeLessThan(40);
  });

  it("snaps within six pixels to the nearest point", () => {
    const view = { fromMs: 0, toMs: 10_000 };
    expect(snap(5_055, [5_000, 5_060, 9_000], view, 1_000)).toBe(5_060);
    expect(snap(5_030, [4_960, 5_100], view, 1_000)).toBe(5_030);
    expect(snap(5_060, [5_000], view, 1_000)).toBe(5_000);
  });

  it("finds what is in a span of many", () => {
    const sorted = Array.from({ length: 10_000 }, (_, n) => n * 1_000);
    expect(between(sorted, { fromMs: 1_500, toMs: 4_000 })).toEqual([2_000, 3_000]);
    expect(between(sorted, { fromMs: -5, toMs: 0 })).toEqual([]);
  });
});

describe("in and out", () => {
  const kept = { fromMs: 0, toMs: 60_000 };
  const range = { inMs: 10_000, outMs: 20_000 };

  it("a set edge that passes the other opens the range to the end of what is kept", () => {
    expect(setEdge(range, "in", 15_000, kept, FRAME)).toEqual({ inMs: 15_000, outMs: 20_000 });
    expect(setEdge(range, "in", 30_000, kept, FRAME)).toEqual({ inMs: 30_000, outMs: 60_000 });
    expect(setEdge(range, "out", 5_000, kept, FRAME)).toEqual({ inMs: 0, outMs: 5_000 });
    expect(setEdge(range, "in", 99_000, kept, 40)).toEqual({ inMs: 59_960, outMs: 60_000 });
  });

  it("a dragged edge stops a frame before the other and at the end of what is kept", () => {
    expect(dragEdge(range, "in", 25_000, kept, 40)).toEqual({ inMs: 19_960, outMs: 20_000 });
    expect(dragEdge(range, "in", -5, kept, 40).inMs).toBe(0);
    expect(dragEdge(range, "out", 0, kept, 40)).toEqual({ inMs: 10_000, outMs: 10_040 });
    expect(dragEdge(range, "out", 61_000, kept, 40).outMs).toBe(60_000);
  });

  it("Up and Down go from edit point to edit point", () => {
    const points = editPoints({ inMs: 8_000, outMs: 20_000 }, { fromMs: 10_000, toMs: 20_000 });
    expect(points).toEqual([8_000, 10_000, 20_000]);
    expect(nextPoint(points, 9_000, 1, FRAME)).toBe(10_000);
    // The frame that holds the point is not before it.
    expect(nextPoint(points, 9_990, 1, FRAME)).toBe(20_000);
    expect(nextPoint(points, 9_000, -1, FRAME)).toBe(8_000);
    expect(nextPoint(points, 8_000, -1, FRAME)).toBe(8_000);
  });

  it("a fast cut begins at the keyframe before", () => {
    const keyframes = [0, 2_000, 4_000];
    expect(fastStart(2_900, keyframes)).toBe(2_000);
    expect(fastStart(4_000, keyframes)).toBe(4_000);
    expect(fastStart(3_999.4, keyframes)).toBe(4_000);
    expect(fastStart(-5, keyframes)).toBeNull();
    expect(fastStart(1_000, [])).toBeNull();
  });

  it("times are written and read", () => {
    expect(timecode(3_137_633)).toBe("52:17.633");
    expect(timecode(3_723_004)).toBe("1:02:03.004");
    for (const ms of [0, 999, 61_001, 3_723_004]) expect(readTimecode(timecode(ms))).toBe(ms);
    expect(readTimecode("12.5")).toBe(12_500);
    expect(readTimecode(" 1:02,25 ")).toBe(62_250);
    for (const wrong of ["", "-1", "1:", ":2", "1:2:3:4", "1.2345", "ten"])
      expect(readTimecode(wrong)).toBeNull();
  });
});

describe("shuttle", () => {
  const speedAfter = (keys: string) =>
    [...keys].reduce<Speed>((speed, key) => press(key as "j" | "k" | "l", speed), 0);

  it("each press goes faster, the other direction starts slowly, K stops", () => {
    expect(["l", "ll", "lll", "llll"].map(speedAfter)).toEqual([1, 2, 4, 4]);
    expect(["j", "jj", "jjj", "jjjj"].map(speedAfter)).toEqual([-1, -2, -4, -4]);
    expect(speedAfter("lllj")).toBe(-1);
    expect(speedAfter("jjl")).toBe(1);
    expect(speedAfter("llk")).toBe(0);
  });

  it("backward play stops at the start", () => {
    expect(backwards(5_000, -2, 1_000, 0)).toBe(3_000);
    expect(backwards(5_000, -4, 9_000, 400)).toBe(400);
  });
});

describe("undo", () => {
  it("goes back and forth, and a new step forgets what was undone", () => {
    let history = begin(0);
    for (const [value, at] of [
      [1, 0],
      [2, 5_000],
      [3, 10_000],
    ] as const)
      history = record(history, value, "in", at);
    history = undo(undo(history));
    expect(history.now).toBe(1);
    expect(redo(history).now).toBe(2);
    history = record(history, 9, "in", 20_000);
    expect(redo(history)).toBe(history);
    expect(undo(undo(undo(history))).now).toBe(0);
  });

  it("what is typed in one go is one step; another kind is another", () => {
    let history = begin("");
    history = record(history, "a", "title", 0);
    history = record(history, "ab", "title", 300);
    history = record(history, "abc", "tags", 600);
    history = record(history, "abcd", "title", 5_000);
    expect(undo(history).now).toBe("abc");
    expect(undo(undo(history)).now).toBe("ab");
    expect(undo(undo(undo(history))).now).toBe("");
  });

  it("remembers so many steps and no more", () => {
    let history = begin(0);
    for (let n = 1; n <= DEPTH + 50; n += 1) history = record(history, n, "in", n * 10_000);
    expect(history.past.length).toBe(DEPTH);
  });

  it("can be rewritten as a whole", () => {
    const history = rewrite(undo(record(begin(1), 2, "in", 0)), (n) => n * 10);
    expect([history.now, redo(history).now]).toEqual([10, 20]);
  });
});
