// The main job from end to end, as Chromium does it: go live, watch within a second, clips whose numbers rise across every cut.
import type { Clip } from "../src/api/generated/protocol";
import { clipNumbers } from "./support/decode";
import { frameNumbers } from "./support/number";
import { Stores } from "./support/stores";
import { endBroadcast, expect, goLive, Oxbow, test } from "./support/test";

const CLIP_MS = 5_000;

for (const { name, codec, stores } of [
  { name: "H.264, folder and SQLite", codec: "h264", stores: false },
  { name: "VP8, S3 and MongoDB", codec: "vp8", stores: true },
  { name: "VP9, folder and SQLite", codec: "vp9", stores: false },
  { name: "AV1, folder and SQLite", codec: "av1", stores: false },
] as const) {
  test(`live, watched, clipped and stored: ${name}`, async ({ browser }) => {
    test.setTimeout(150_000);
    const behind = stores ? await Stores.start() : null;
    const oxbow = await Oxbow.start({ CLIP_LENGTH: String(CLIP_MS / 1000), ...behind?.env });
    const options = { baseURL: oxbow.url, viewport: { width: 1280, height: 800 } };
    const streamer = await browser.newContext({ ...options, permissions: ["camera", "microphone"] });
    const viewer = await browser.newContext({ ...options, permissions: [] });
    try {
      const studio = await streamer.newPage();
      await goLive(studio, "main", { codec });

      // A join that just missed a keyframe waits for the next: the typical one of three counts.
      const joins: number[] = [];
      let watch = await viewer.newPage();
      for (let join = 0; join < 3; join += 1) {
        if (join > 0) {
          await watch.close();
          watch = await viewer.newPage();
        }
        await watch.goto("/@main");
        await expect(watch.locator("[data-state=live]")).toBeVisible();
        joins.push(
          await watch.evaluate(() => {
            const at = (name: string) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN;
            return at("oxbow:first-frame") - at("oxbow:join");
          }),
        );
      }
      const typical = joins.toSorted((a, b) => a - b)[1];
      expect(typical, `milliseconds from joining to the first picture: ${joins}`).toBeLessThan(1_000);
      const seen = (await frameNumbers(watch.locator("video"), 3_000)).filter((n) => n !== null);
      expect(seen.length, "readable pictures in three seconds").toBeGreaterThan(30);
      for (const [i, n] of seen.entries()) expect(n).toBeGreaterThanOrEqual(seen[i - 1] ?? 0);

      // Four clips while it is on air, each within seconds of its cut.
      await expect
        .poll(async () => (await stored(oxbow)).length, { timeout: 45_000, intervals: [250] })
        .toBeGreaterThanOrEqual(4);
      for (const clip of await stored(oxbow)) {
        expect(clip.createdAt - (clip.startedAt + clip.durationMs), "from cut to playable").toBeLessThan(
          4_000,
        );
        expect(clip.durationMs).toBeLessThan(CLIP_MS + 2_500);
      }
      await expect(watch.locator("[data-state=live]")).toBeVisible();
      await endBroadcast(studio);
      await expect.poll(async () => (await stored(oxbow)).at(-1)?.cause, { timeout: 20_000 }).toBe("end");

      const clips = await stored(oxbow);
      const numbers: number[] = [];
      for (const clip of clips) {
        expect(clip.video).toBe(codec);
        const media = await fetch(`${oxbow.url}${clip.media}`);
        const read = await clipNumbers(new Uint8Array(await media.arrayBuffer()));
        const readable = read.filter((n) => n !== null);
        expect(readable.length, `readable pictures of ${read.length} in part ${clip.part}`).toBeGreaterThan(
          read.length * 0.9,
        );
        numbers.push(...readable);
      }
      // The camera's file plays at its own pace and encoders leave pictures out under load; none may come twice or late.
      for (const [i, n] of numbers.entries()) {
        if (i > 0) expect(n, `picture ${i} of ${numbers.length}`).toBeGreaterThan(numbers[i - 1] ?? 0);
      }

      // It plays and seeks in a page.
      const library = await viewer.newPage();
      await library.goto(`/c/${clips[1]?.id}`);
      const video = library.locator("video");
      await expect
        .poll(() => video.evaluate((v: HTMLVideoElement) => v.readyState))
        .toBeGreaterThanOrEqual(2);
      await video.evaluate((v: HTMLVideoElement) => {
        v.pause();
        v.currentTime = 2;
      });
      await expect.poll(() => video.evaluate((v: HTMLVideoElement) => !v.seeking && v.currentTime)).toBe(2);

      await oxbow.down();
      // Every access unit that was received is in exactly one clip: check walks journals, store and index.
      const check = oxbow.run("check");
      expect(check.status, check.output).toBe(0);
    } finally {
      await streamer.close();
      await viewer.close();
      await oxbow.remove();
      await behind?.remove();
    }
  });
}

/** All clips that reached the store, oldest first. */
async function stored(oxbow: Oxbow): Promise<Clip[]> {
  const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?limit=100");
  return items.filter((clip) => clip.state === "stored").sort((a, b) => a.part - b.part);
}
