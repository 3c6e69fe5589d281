// Layered streams as Chromium makes them on request, and viewers who get part of the layers: a smaller picture by choice, fewer pictures when
// their network carries no more.
import type { Page } from "@playwright/test";
import { keepConnections } from "./support/connections";
import { publishLayered } from "./support/layered";
import { Relay } from "./support/relay";
import { freeMediaPort } from "./support/server";
import { expect, Oxbow, test } from "./support/test";

type Received = {
  height: number;
  decoded: number;
  freezes: number;
  plis: number;
};

/** What the newest connection of a page says of its picture. */
function received(page: Page): Promise<Received> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const stats = [...((await connections.at(-1)?.getStats())?.values() ?? [])];
    const video = stats.find((report) => report.type === "inbound-rtp" && report.kind === "video") ?? {};
    return {
      height: Number(video.frameHeight ?? 0),
      decoded: Number(video.framesDecoded ?? 0),
      freezes: Number(video.freezeCount ?? 0),
      plis: Number(video.pliCount ?? 0),
    };
  });
}

/** Pictures a second, freezes and requests for keyframes over the next seconds, and the height at their end. */
async function watched(page: Page, seconds: number) {
  const before = await received(page);
  await page.waitForTimeout(seconds * 1000);
  const after = await received(page);
  return {
    rate: (after.decoded - before.decoded) / seconds,
    freezes: after.freezes - before.freezes,
    plis: after.plis - before.plis,
    height: after.height,
  };
}

// Of 640 × 360 Chromium makes two spatial layers.
for (const codec of ["vp9", "av1"]) {
  test(`a viewer chooses the lower spatial layer of ${codec}, and the upper one again`, async ({
    browser,
  }) => {
    const oxbow = await Oxbow.start();
    const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
    try {
      const streamer = await context.newPage();
      await streamer.goto("/about");
      await publishLayered(streamer, `${oxbow.url}/whip/main`, codec, "L3T3_KEY");
      const watch = await context.newPage();
      await watch.addInitScript(keepConnections);
      await watch.goto("/@main");
      await expect(watch.locator("[data-state=live]")).toBeVisible();
      await expect.poll(async () => (await received(watch)).height, { timeout: 20_000 }).toBe(360);
      const menu = watch.getByRole("button", { name: /^Quality/ });
      for (const [choice, height] of [
        ["180p", 180],
        ["360p", 360],
        ["180p", 180],
        ["Auto", 360],
      ] as const) {
        await menu.click();
        await watch.getByRole("menuitemradio", { name: choice }).click();
        await expect.poll(async () => (await received(watch)).height, { timeout: 10_000 }).toBe(height);
        const seen = await watched(watch, 2);
        expect(seen).toMatchObject({ height, freezes: 0, plis: 0 });
        expect(seen.rate).toBeGreaterThan(20);
      }
    } finally {
      await context.close();
      await oxbow.remove();
    }
  });
}

// 800 kbit/s in three temporal layers over a network that carries 600: half of the pictures fit, or a quarter.
for (const codec of ["vp8", "av1", "h264"]) {
  test(`a slow network gets fewer pictures of ${codec}, all of which decode`, async ({ browser }) => {
    const port = await freeMediaPort();
    const relay = await Relay.start("127.0.0.1:0", `127.0.0.1:${port}`, { seed: 3, down: 600 });
    const oxbow = await Oxbow.start({ PEER_PORT: String(port), PEER_HOST: relay.address });
    const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
    try {
      const streamer = await context.newPage();
      await streamer.goto("/about");
      await publishLayered(streamer, `${oxbow.url}/whip/main`, codec, "L1T3", 800_000);
      const watch = await context.newPage();
      await watch.addInitScript(keepConnections);
      await watch.goto("/@main");
      await expect(watch.locator("[data-state=live]")).toBeVisible();
      // The limit is found out by running into it.
      await watch.waitForTimeout(6_000);
      const seen = await watched(watch, 6);
      expect(seen.rate).toBeGreaterThan(5);
      expect(seen.rate).toBeLessThan(22);
      expect(seen.plis).toBe(0);
      const metrics = await (await fetch(`${oxbow.url}/metrics`)).text();
      expect(metrics).toMatch(/reason="layer"\} [1-9]/);
    } finally {
      await context.close();
      await oxbow.remove();
      relay.kill();
    }
  });
}
