import { describe, expect, it } from "vitest";
import { type Reach, windowAt } from "./windows";

const reach: Reach = {
  broadcast: "b1",
  all: { fromMs: 5_000, toMs: 71_500.25 },
  keyframesMs: [5_000.5, 10_000, 19_500.2, 40_000, 45_000],
};

describe("the file that holds a moment", () => {
  it("begins with a keyframe, at or before what is asked for", () => {
    expect(windowAt(25_000, reach)).toEqual({
      url: "/api/broadcasts/b1/media?from=19501&to=42000",
      span: { fromMs: 19_500.2, toMs: 42_000 },
    });
    expect(windowAt(41_000, reach).span.fromMs).toBe(40_000);
  });

  it("is the same for moments that are near each other", () => {
    expect(windowAt(20_000, reach)).toEqual(windowAt(39_999, reach));
    expect(windowAt(20_000, reach)).not.toEqual(windowAt(40_000, reach));
  });

  it("stays within what is kept", () => {
    expect(windowAt(6_000, reach).span).toEqual({ fromMs: 5_000.5, toMs: 22_000 });
    expect(windowAt(71_000, reach)).toEqual({
      url: "/api/broadcasts/b1/media?from=45000&to=71501",
      span: { fromMs: 45_000, toMs: 71_500.25 },
    });
  });

  it("begins exactly where no keyframe is known", () => {
    expect(windowAt(30_000, { ...reach, keyframesMs: [] })).toEqual({
      url: "/api/broadcasts/b1/media?from=20000&to=42000&precision=exact",
      span: { fromMs: 20_000, toMs: 42_000 },
    });
  });
});
