// Layered streams as Chromium makes them on request: the whole stream is watched and recorded, every picture readable.
import type { Clip } from "../src/api/generated/protocol";
import { clipNumbers } from "./support/decode";
import { publishLayered } from "./support/layered";
import { frameNumbers } from "./support/number";
import { expect, Oxbow, test } from "./support/test";

for (const [codec, mode] of [
  ["h264", "L1T3"],
  ["vp9", "L3T3_KEY"],
  ["av1", "L1T3"],
] as const) {
  test(`${codec} ${mode} is watched and recorded`, async ({ browser }) => {
    const oxbow = await Oxbow.start({ CLIP_LENGTH: "4" });
    const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
    try {
      const streamer = await context.newPage();
      await streamer.goto("/about");
      await publishLayered(streamer, `${oxbow.url}/whip/main`, codec, mode);
      const watch = await context.newPage();
      await watch.goto("/@main");
      await expect(watch.locator("[data-state=live]")).toBeVisible();
      const seen = (await frameNumbers(watch.locator("video"), 4_000)).filter((n) => n !== null);
      expect(seen.length, "readable pictures in four seconds").toBeGreaterThan(30);
      for (const [i, n] of seen.entries()) expect(n).toBeGreaterThanOrEqual(seen[i - 1] ?? 0);
      const stored = async () => {
        const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?limit=100");
        return items.filter((clip) => clip.state === "stored");
      };
      await expect.poll(async () => (await stored()).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(1);
      const [clip] = await stored();
      expect(clip?.video).toBe(codec);
      const media = new Uint8Array(await (await fetch(`${oxbow.url}${clip?.media}`)).arrayBuffer());
      // ffmpeg shows every frame that is marked as shown, as some players do: lower layers must not be.
      const read = await clipNumbers(media);
      const readable = read.filter((n) => n !== null);
      expect(readable.length, `readable of ${read.length}`).toBeGreaterThan(read.length * 0.9);
      expect([clip?.width, clip?.height]).toEqual([640, 360]);
      for (const [i, n] of readable.entries()) {
        if (i > 0) expect(n).toBeGreaterThan(readable[i - 1] ?? 0);
      }
    } finally {
      await context.close();
      await oxbow.remove();
    }
  });
}
