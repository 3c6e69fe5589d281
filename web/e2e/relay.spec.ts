// A broadcast whose streamer and viewers reach the server through a bad network (bench relay), in real Chromium.
import { frameNumbers } from "./support/number";
import { type Conditions, Relay } from "./support/relay";
import { expectRising, expectWholeClip } from "./support/rising";
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

      const last = await expectRising((ms) => frameNumbers(watch.locator("video"), ms), 5);
      await expect(watch.locator("[data-state=live]")).toBeVisible();

      await endBroadcast(studio);
      const numbers = await expectWholeClip(oxbow, codec, last);
      expect(new Set(numbers).size, "no picture comes twice").toBe(numbers.length);

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
