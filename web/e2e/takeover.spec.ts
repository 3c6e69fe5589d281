// A streamer's device sleeps without a word; another one goes on with the show; the first wakes up.
import type { Browser } from "@playwright/test";
import { frameNumber } from "./support/number";
import { endBroadcast, expect, goLive, test } from "./support/test";

/** The processes of this browser that run pages: stopped, they are a device that sleeps. */
async function pageProcesses(browser: Browser): Promise<number[]> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  return processInfo.filter((info) => info.type === "renderer").map((info) => info.id);
}

test("another device takes over from one that fell silent, and the first is told when it wakes", async ({
  browser,
  oxbow,
}, info) => {
  const options = { baseURL: oxbow.url, permissions: ["camera", "microphone"] };
  const device = await browser.browserType().launch(info.project.use.launchOptions);
  try {
    const first = await (await device.newContext(options)).newPage();
    await goLive(first, "relay");
    const viewer = await (await browser.newContext({ baseURL: oxbow.url })).newPage();
    await viewer.goto("/@relay");
    await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });

    const asleep = await pageProcesses(device);
    expect(asleep.length).toBeGreaterThan(0);
    for (const pid of asleep) process.kill(pid, "SIGSTOP");
    await expect(viewer.locator("[data-state=interrupted]")).toBeVisible({ timeout: 6_000 });

    const second = await (await browser.newContext(options)).newPage();
    await goLive(second, "relay");
    await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
    await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBeNull();

    for (const pid of asleep) process.kill(pid, "SIGCONT");
    await expect(first.getByText("Another device took over")).toBeVisible({ timeout: 15_000 });
    // It stays with the second: the first asks before it takes the channel back.
    await expect(viewer.locator("[data-state=live]")).toBeVisible();
    await endBroadcast(second);
    await expect(viewer.getByRole("heading", { name: "@relay ended the broadcast" })).toBeVisible();
    await viewer.context().close();
    await second.context().close();
  } finally {
    await device.close();
  }
});
