// The socket dies on both sides of a broadcast and comes back: the media knows nothing of it.
import type { Page } from "@playwright/test";
import { countAnswers } from "./support/connections";
import { Front } from "./support/front";
import { frameNumbers } from "./support/number";
import { endBroadcast, expect, goLive, test } from "./support/test";

type Listed = { session: string; role: string; state: string; channel: string };

const answered = (page: Page) =>
  page.evaluate(() => (window as unknown as { answered: unknown[] }).answered.length);

test("a dead socket interrupts neither streamer nor viewer, and its return takes both sessions over", async ({
  browser,
  oxbow,
}) => {
  const front = await Front.start(oxbow.url);
  const options = { baseURL: front.url, permissions: ["camera", "microphone"] };
  const streamerContext = await browser.newContext(options);
  const viewerContext = await browser.newContext({ ...options, permissions: [] });
  const streamer = await streamerContext.newPage();
  const viewer = await viewerContext.newPage();
  for (const page of [streamer, viewer]) await page.addInitScript(countAnswers);
  const sessions = async () => {
    const { items } = await oxbow.api<{ items: Listed[] }>("/api/connections");
    const open = items.filter((one) => one.channel === "socket" && one.state === "connected");
    return open.map(({ session, role }) => `${role} ${session}`).sort();
  };

  await goLive(streamer, "socket");
  await viewer.goto("/@socket");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const before = await sessions();
  expect(before).toHaveLength(2);

  const shown = frameNumbers(viewer.locator("video"), 8_000);
  const sockets = [streamer, viewer].map((page) => page.waitForEvent("websocket"));
  await front.die();
  await viewer.waitForTimeout(2_000);
  await front.comeBack();
  await Promise.all(sockets);
  // What the server says arrives again, so the new sockets are known.
  const guest = await viewerContext.newPage();
  await guest.goto("/@socket");
  await expect(viewer.locator("[data-viewers='2']")).toBeVisible();
  await guest.close();
  await expect(viewer.locator("[data-viewers='1']")).toBeVisible();

  const numbers = (await shown).filter((number): number is number => number !== null);
  // The camera gives thirty pictures a second. The stillness of the socket was two seconds long; the picture knew none.
  expect(numbers.length).toBeGreaterThan(100);
  const steps = numbers.slice(1).map((number, index) => number - (numbers[index] ?? 0));
  expect(Math.max(...steps)).toBeLessThan(30);
  expect(await viewer.locator("[data-state=live]").count()).toBe(1);
  expect([await answered(streamer), await answered(viewer)]).toEqual([1, 1]);
  expect(await sessions()).toEqual(before);

  // The streamer's new socket is the one that hears of its session.
  await endBroadcast(streamer);
  await expect(viewer.locator("[data-state=ended]")).toBeVisible();
  await streamerContext.close();
  await viewerContext.close();
  await front.die();
});
