// Real Firefox sends a picture in three sizes, and a viewer in Firefox chooses between them.
import { expect, test } from "@playwright/test";
import type { Browser, Page } from "puppeteer-core";
import { keepConnections } from "../support/connections";
import { endInFirefox, goLiveInFirefox, launchFirefox } from "../support/firefox";
import { freeMediaPort, Oxbow } from "../support/server";

/** Where scripts/network.sh puts this machine. */
const HERE = "10.77.0.1";

let streamer: Browser;
let viewer: Browser;

test.beforeAll(async () => {
  [streamer, viewer] = await Promise.all([launchFirefox(), launchFirefox()]);
});

test.afterAll(async () => {
  await streamer?.close();
  await viewer?.close();
});

type Sent = { rid: string; height: number; frames: number };

/** What is sent by rid, the smallest first. */
function sent(page: Page): Promise<Sent[]> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const stats = [...((await connections.at(-1)?.getStats())?.values() ?? [])];
    return stats
      .filter((report) => report.type === "outbound-rtp" && report.kind === "video")
      .map((report) => ({
        rid: String(report.rid),
        height: Number(report.frameHeight ?? 0),
        frames: Number(report.framesSent ?? report.framesEncoded ?? 0),
      }))
      .sort((a, b) => a.height - b.height);
  });
}

/** The height that a page shows, and how many pictures were decoded for it. */
function picture(page: Page): Promise<{ height: number; frames: number }> {
  return page.$eval("video", async (video) => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const stats = [...((await connections.at(-1)?.getStats())?.values() ?? [])];
    const shown = stats.find((report) => report.type === "inbound-rtp" && report.kind === "video");
    return { height: video.videoHeight, frames: Number(shown?.framesDecoded ?? 0) };
  });
}

test("three sizes flow from Firefox, and a viewer chooses between them", async () => {
  const port = await freeMediaPort();
  const oxbow = await Oxbow.start({ PEER_PORT: String(port), PEER_HOST: HERE });
  const studio = await streamer.newPage();
  const watch = await viewer.newPage();
  try {
    await studio.evaluateOnNewDocument(keepConnections);
    await goLiveInFirefox(studio, oxbow.url, { codec: "vp8", camera: "large" });
    const heights = async () => (await sent(studio)).map((one) => one.height);
    await expect.poll(heights, { timeout: 30_000 }).toEqual([180, 360, 720]);
    await watch.evaluateOnNewDocument(keepConnections);
    await watch.goto(`${oxbow.url}/@main`);
    await watch.locator("[data-state=live]").setTimeout(20_000).wait();
    await expect.poll(() => picture(watch), { timeout: 20_000 }).toMatchObject({ height: 720 });
    for (const [choice, height] of [
      ["180p", 180],
      ["360p", 360],
      ["720p", 720],
      ["Auto", 720],
    ] as const) {
      await watch.locator("button[aria-label^=Quality]").click();
      await watch.locator(`[role=menuitemradio]::-p-text(${choice})`).click();
      await expect.poll(() => picture(watch), { timeout: 20_000 }).toMatchObject({ height });
      const { frames } = await picture(watch);
      await expect
        .poll(async () => (await picture(watch)).frames, { timeout: 10_000 })
        .toBeGreaterThan(frames + 20);
    }
    await endInFirefox(studio);
  } finally {
    await studio.close();
    await watch.close();
    await oxbow.remove();
  }
});
