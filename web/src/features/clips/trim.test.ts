import { describe, expect, it } from "vitest";
import { lasting, lastMoments, moved } from "./trim";

const { bounds, range } = lastMoments(600_000);

describe("the range of a clip", () => {
  it("begins as the last half minute of two", () => {
    expect(bounds).toEqual({ from: 480_000, to: 600_000, shortest: 5_000, longest: 90_000 });
    expect(range).toEqual({ from: 570_000, to: 600_000 });
  });

  it("is all there is of a broadcast that has just begun", () => {
    const young = lastMoments(3_000);
    expect(young.range).toEqual({ from: 0, to: 3_000 });
    expect(moved(young.range, "from", 1_000, young.bounds)).toEqual({ from: 0, to: 3_000 });
  });

  it("keeps its handles apart, and together enough", () => {
    expect(moved(range, "from", 599_000, bounds)).toEqual({ from: 595_000, to: 600_000 });
    expect(moved(range, "from", 0, bounds)).toEqual({ from: 480_000, to: 570_000 });
    expect(moved(range, "to", 571_000, bounds)).toEqual({ from: 566_000, to: 571_000 });
    expect(moved({ from: 480_000, to: 490_000 }, "to", 600_000, bounds)).toEqual({
      from: 510_000,
      to: 600_000,
    });
  });

  it("moves as a whole and stays whole", () => {
    expect(moved(range, "both", 500_000, bounds)).toEqual({ from: 500_000, to: 530_000 });
    expect(moved(range, "both", 900_000, bounds)).toEqual(range);
    expect(moved(range, "both", 0, bounds)).toEqual({ from: 480_000, to: 510_000 });
  });

  it("takes a length before its end", () => {
    expect(lasting(range, 60_000, bounds)).toEqual({ from: 540_000, to: 600_000 });
    expect(lasting({ from: 485_000, to: 490_000 }, 60_000, bounds)).toEqual({ from: 480_000, to: 540_000 });
    expect(lasting(range, 999_000, bounds)).toEqual({ from: 510_000, to: 600_000 });
  });
});
