// The pictures in the README are taken here, of a real broadcast. UPDATE_SCREENSHOTS=1 puts them into docs/.
import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, goLive, test } from "./support/test";

const docs = fileURLToPath(new URL("../../docs/images", import.meta.url));

test("pictures of the app", async ({ browser, oxbow, page }, info) => {
  const take = async (of: typeof page, name: string) => {
    const path = info.outputPath(name);
    await of.screenshot({ path, fullPage: true });
    if (process.env.UPDATE_SCREENSHOTS !== "1") return;
    mkdirSync(docs, { recursive: true });
    copyFileSync(path, `${docs}/${name}`);
  };
  // Chromium names its fake devices after the files on this machine.
  await page.addInitScript(() => {
    Object.defineProperty(MediaDeviceInfo.prototype, "label", {
      get(this: MediaDeviceInfo) {
        return this.kind === "videoinput" ? "Desk camera" : "Microphone";
      },
    });
  });
  await goLive(page);
  const context = await browser.newContext({
    baseURL: oxbow.url,
    viewport: { width: 1440, height: 900 },
    locale: "en-GB",
  });
  const viewer = await context.newPage();
  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await expect.poll(() => viewer.locator("[data-clip]").count(), { timeout: 60_000 }).toBeGreaterThan(5);
  await take(viewer, "watch.png");
  await expect(page.locator("[data-verdict=good]")).toBeVisible();
  await take(page, "studio.png");
  await viewer.goto("/library");
  await expect(viewer.locator("[data-clip]").first()).toBeVisible();
  await take(viewer, "library.png");
  await context.close();
});
