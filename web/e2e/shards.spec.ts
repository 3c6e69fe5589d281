// A server with several media threads: viewers come to sockets as the kernel likes, and see the same broadcast.
import type { BrowserContext } from "@playwright/test";
import { frameNumber } from "./support/number";
import { endBroadcast, expect, goLive, Oxbow, test } from "./support/test";

/** A thread is left out by so many viewers once in half a million times. */
const MOST_VIEWERS = 12;

test("viewers on several media threads see one broadcast, and its end", async ({ browser }) => {
  test.setTimeout(120_000);
  const oxbow = await Oxbow.start({ SHARDS: "3" });
  const contexts: BrowserContext[] = [];
  const open = async (permissions: string[]) => {
    const context = await browser.newContext({ baseURL: oxbow.url, permissions });
    contexts.push(context);
    return context.newPage();
  };
  const sum = (numbers: number[]) => numbers.reduce((all, number) => all + number, 0);
  // The figures are a few seconds old.
  const threads = async () => {
    const metrics = await (await fetch(`${oxbow.url}/metrics`)).text();
    const sessions = [...metrics.matchAll(/^oxbow_sessions\{shard="\d"\} (\d+)$/gm)].map((line) =>
      Number(line[1]),
    );
    return {
      threads: sessions.length,
      busy: sessions.filter((count) => count > 0).length,
      sessions: sum(sessions),
    };
  };
  try {
    const streamer = await open(["camera", "microphone"]);
    await goLive(streamer);
    const viewers = [];
    let spread = 0;
    while (spread < 2 && viewers.length < MOST_VIEWERS) {
      const viewer = await open([]);
      viewers.push(viewer);
      await viewer.goto("/@main");
      await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
      await expect.poll(async () => (await threads()).sessions, { timeout: 15_000 }).toBe(viewers.length + 1);
      spread = (await threads()).busy;
    }
    expect(await threads()).toMatchObject({ threads: 3, busy: 2 });

    for (const viewer of viewers) {
      const first = await frameNumber(viewer.locator("video"));
      await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);
    }
    for (const viewer of viewers)
      await expect(viewer.locator(`[data-viewers='${viewers.length}']`)).toBeVisible();
    await endBroadcast(streamer);
    for (const viewer of viewers)
      await expect(viewer.locator("[data-state=live]")).toBeHidden({ timeout: 15_000 });
  } finally {
    for (const context of contexts) await context.close();
    await oxbow.remove();
  }
});
