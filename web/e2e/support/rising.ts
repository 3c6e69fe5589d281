// What a bad network may not do to numbered pictures: show one from before, or keep one from the recording.
import { expect } from "@playwright/test";
import type { Clip } from "../../src/api/generated/protocol";
import { clipNumbers } from "./decode";
import type { Oxbow } from "./server";

type Numbers = (number | null)[];

/** In each of so many spans there are new pictures, whole ones, and none from before. Answers the number of the last one. */
export async function expectRising(
  shownFor: (ms: number) => Promise<Numbers>,
  spans: number,
): Promise<number> {
  let last = 0;
  for (let span = 0; span < spans; span += 1) {
    const shown = await shownFor(2_000);
    const read = shown.filter((n) => n !== null);
    expect(read.length, `readable of ${shown.length} pictures`).toBeGreaterThan(shown.length * 0.8);
    for (const n of read) {
      expect(n).toBeGreaterThanOrEqual(last);
      last = n;
    }
    expect(new Set(read).size, "different pictures in two seconds").toBeGreaterThan(10);
  }
  return last;
}

/** The only clip of a broadcast that is over: its pictures' numbers rise, and reach at least as far as what a viewer saw. */
export async function expectWholeClip(oxbow: Oxbow, codec: string, seen: number): Promise<number[]> {
  const clips = async () => (await oxbow.api<{ items: Clip[] }>("/api/clips?limit=10")).items;
  await expect.poll(async () => (await clips())[0]?.state, { timeout: 20_000 }).toBe("stored");
  const [clip] = await clips();
  if (!clip) throw new Error("no clip");
  expect(clip.video).toBe(codec);
  const media = await fetch(`${oxbow.url}${clip.media}`);
  const numbers = await clipNumbers(new Uint8Array(await media.arrayBuffer()));
  const readable = numbers.filter((n) => n !== null);
  expect(readable.length, `readable of ${numbers.length}`).toBeGreaterThan(numbers.length * 0.9);
  for (const [i, n] of readable.entries()) if (i > 0) expect(n).toBeGreaterThanOrEqual(readable[i - 1] ?? 0);
  expect(readable.at(-1)).toBeGreaterThanOrEqual(seen);
  return readable;
}
