import { describe, expect, it } from "vitest";
import { Pulse } from "./pulse";

describe("whether media comes", () => {
  it("is known from the second look on", () => {
    const pulse = new Pulse(0);
    expect(pulse.look({ bytes: 0, path: null }, 100)).toBe("first");
    expect(pulse.look({ bytes: 0, path: null }, 600)).toBe("still");
    expect(pulse.look({ bytes: 9, path: null }, 1_100)).toBe("flows");
    expect(pulse.since).toBe(1_100);
  });

  it("is our path's fault until the server is heard while nothing comes", () => {
    const pulse = new Pulse(0);
    pulse.look({ bytes: 9, path: 100 }, 0);
    expect([100, 100, 160].map((path) => pulse.hears({ bytes: 9, path }))).toEqual([false, false, true]);
    pulse.again(2_000);
    expect([160, 160].map((path) => pulse.hears({ bytes: 9, path }))).toEqual([false, false]);
  });

  it("is our path's fault where the browser does not tell", () => {
    const pulse = new Pulse(0);
    pulse.look({ bytes: 9, path: null }, 0);
    expect([null, null].map((path) => pulse.hears({ bytes: 9, path }))).toEqual([false, false]);
  });
});
