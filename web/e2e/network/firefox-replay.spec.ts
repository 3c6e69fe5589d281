// Real Firefox plays the replay of a broadcast, which reaches it by HLS, in each codec that HLS carries.
import { expect, test } from "@playwright/test";
import type { Browser } from "puppeteer-core";
import { frameNumbersInFirefox, launchFirefox } from "../support/firefox";
import { Oxbow } from "../support/server";

const SECONDS = 13;
const FPS = 30;

let browser: Browser;
let oxbow: Oxbow;

test.beforeAll(async () => {
  [browser, oxbow] = await Promise.all([launchFirefox(), Oxbow.start()]);
});

test.afterAll(async () => {
  await browser?.close();
  await oxbow?.remove();
});

for (const codec of ["h264", "vp9", "av1"]) {
  test(`Firefox replays ${codec}, over the borders of files, to the end`, async () => {
    await oxbow.publish(codec, codec, SECONDS);
    type Broadcasts = { items: { id: string; live: boolean }[] };
    const broadcast = async () => (await oxbow.api<Broadcasts>(`/api/broadcasts?channel=${codec}`)).items[0];
    await expect.poll(async () => (await broadcast())?.live, { timeout: 60_000 }).toBe(false);
    const page = await browser.newPage();
    try {
      await page.goto(`${oxbow.url}/b/${(await broadcast())?.id}`);
      await page.locator("[data-replay=on]").setTimeout(20_000).wait();
      const video = "video";
      await page.waitForFunction(
        (name) => (document.querySelector(name) as HTMLVideoElement | null)?.readyState === 4,
        { timeout: 30_000 },
        video,
      );
      if (await page.$eval(video, (element) => (element as HTMLVideoElement).paused)) {
        await page.keyboard.press("k");
      }
      const shown = await frameNumbersInFirefox(page, 9_000);
      const read = shown.filter((number) => number !== null);
      expect(read.length, `readable of ${shown.length}`).toBeGreaterThan(shown.length * 0.9);
      expect(read[0], "it begins at the beginning").toBeLessThan(2 * FPS);
      for (const [i, number] of read.entries()) {
        const step = i === 0 ? 0 : number - (read[i - 1] ?? 0);
        expect(step, read.join(" ")).toBeGreaterThanOrEqual(0);
        expect(step, read.join(" ")).toBeLessThan(FPS);
      }
      // Files are five seconds long here.
      expect((read.at(-1) ?? 0) - (read[0] ?? 0)).toBeGreaterThan(6 * FPS);
      await page.locator("h2::-p-text(That was all of it)").setTimeout(20_000).wait();
    } finally {
      await page.close();
    }
  });
}
