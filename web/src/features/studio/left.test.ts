import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LEFT } from "@/rtc/on-air";
import { HOLD_MS } from "@/rtc/publisher";
import { granted, type Left, leave, take } from "./left";

const LEAVING: Left = {
  channel: "main",
  broadcast: "b1",
  codec: "h264",
  camera: "front",
  microphone: null,
  muted: true,
  sharing: false,
  leftAt: 1_000,
};

let kept: Map<string, string>;

beforeEach(() => {
  kept = new Map();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  });
});

afterEach(() => vi.unstubAllGlobals());

describe("what a tab left on air", () => {
  it("is found once", () => {
    leave(LEAVING);
    expect(take(2_000)).toEqual(LEAVING);
    expect(take(2_000)).toBeNull();
  });

  it("is worth nothing when the server holds the broadcast no longer, or the clock went back", () => {
    for (const now of [1_000 + HOLD_MS, 999]) {
      leave(LEAVING);
      expect(take(now)).toBeNull();
      expect(kept.size).toBe(0);
    }
  });

  it("is worth nothing when it is not whole", () => {
    for (const text of [
      "rubbish",
      "7",
      "null",
      "{}",
      JSON.stringify({ ...LEAVING, muted: undefined }),
      JSON.stringify({ ...LEAVING, camera: 5 }),
      JSON.stringify({ ...LEAVING, codec: "theora" }),
    ]) {
      kept.set(LEFT, text);
      expect(take(2_000), text).toBeNull();
    }
  });

  it("is nothing where storage is forbidden", () => {
    vi.stubGlobal("sessionStorage", undefined);
    leave(LEAVING);
    expect(take(2_000)).toBeNull();
  });

  it("goes on by itself only where the browser asks nobody for the devices that were open", async () => {
    const states: Record<string, string> = { camera: "granted", microphone: "prompt" };
    const query = vi.fn(async ({ name }: { name: string }) => ({ state: states[name] }));
    vi.stubGlobal("navigator", { permissions: { query } });
    expect(await granted(LEAVING)).toBe(true);
    expect(await granted({ ...LEAVING, microphone: "desk" })).toBe(false);
    query.mockRejectedValue(new TypeError("no such permission"));
    expect(await granted(LEAVING)).toBe(false);
  });
});
