// A broadcast whose streamer and viewers reach the server through a bad network (bench relay), in real Chromium.
import type { Clip } from "../src/api/generated/protocol";
import { clipNumbers } from "./support/decode";
import { frameNumbers } from "./support/number";
import { type Conditions, Relay } from "./support/relay";
import { freeMediaPort } from "./support/server";
import { endBroadcast, expect, goLive, Oxbow, test } from "./support/test";

const BAD: Conditions = { seed: 7, loss: 5, delay: 10, jitter: 30 };

for (const { name, codec } of [
  { name: "H.264", codec: "h264" },
  { name: "VP8", codec: "vp8" },
  { name: "VP9", codec: "vp9" },
  { name: "AV1", codec: "av1" },
] as const) {
  test(`5 % loss and 30 ms of jitter: the picture goes on and the recording is whole, ${name}`, async ({
    browser,
  }) => {
    test.setTimeout(120_000);
    const port = await freeMediaPort();
    const relay = await Relay.start("127.0.0.1:0", `127.0.0.1:${port}`, BAD);
    const oxbow = await Oxbow.start({ PEER_PORT: String(port), PEER_HOST: relay.address, CLIP_LENGTH: "60" });
    const options = { baseURL: oxbow.url, viewport: { width: 1280, height: 800 } };
    const streamer = await browser.newContext({ ...options, permissions: ["camera", "microphone"] });
    const viewer = await browser.newContext({ ...options, permissions: [] });
    try {
      const studio = await streamer.newPage();
      await goLive(studio, "main", { codec });
      const watch = await viewer.newPage();
      await watch.goto("/@main");
      await expect(watch.locator("[data-state=live]")).toBeVisible({ timeout: 20_000 });

      // In each of five spans there are new pictures, whole ones, and none from before.
      let last = 0;
      for (let span = 0; span < 5; span += 1) {
        const shown = await frameNumbers(watch.locator("video"), 2_000);
        const read = shown.filter((n) => n !== null);
        expect(read.length, `readable of ${shown.length} pictures`).toBeGreaterThan(shown.length * 0.8);
        for (const n of read) {
          expect(n).toBeGreaterThanOrEqual(last);
          last = n;
        }
        expect(new Set(read).size, "different pictures in two seconds").toBeGreaterThan(10);
      }
      await expect(watch.locator("[data-state=live]")).toBeVisible();

      await endBroadcast(studio);
      const clips = async () => (await oxbow.api<{ items: Clip[] }>("/api/clips?limit=10")).items;
      await expect.poll(async () => (await clips())[0]?.state, { timeout: 20_000 }).toBe("stored");
      const [clip] = await clips();
      if (!clip) throw new Error("no clip");
      expect(clip.video).toBe(codec);
      const media = await fetch(`${oxbow.url}${clip.media}`);
      const numbers = await clipNumbers(new Uint8Array(await media.arrayBuffer()));
      const readable = numbers.filter((n) => n !== null);
      expect(readable.length, `readable of ${numbers.length}`).toBeGreaterThan(numbers.length * 0.9);
      for (const [i, n] of readable.entries()) if (i > 0) expect(n).toBeGreaterThan(readable[i - 1] ?? 0);
      // The viewer saw nothing that the recording lacks the neighbourhood of: it reaches at least as far.
      expect(readable.at(-1)).toBeGreaterThanOrEqual(last);

      await oxbow.down();
      const check = oxbow.run("check");
      expect(check.status, check.output).toBe(0);
      const { flows, up, down } = await relay.end();
      expect(flows).toBeGreaterThanOrEqual(2);
      expect(Math.min(up.lost / up.datagrams, down.lost / down.datagrams)).toBeGreaterThan(0.03);
    } finally {
      await streamer.close();
      await viewer.close();
      await oxbow.remove();
      relay.kill();
    }
  });
}
