// The streamer reloads the studio on air: viewers wait with their connection, and the same broadcast goes on by itself where nothing about it
// is a surprise.
import type { Browser, BrowserContext, Page } from "@playwright/test";
import type { Live } from "../src/api/generated/protocol";
import { countAnswers } from "./support/connections";
import { frameNumber } from "./support/number";
import { paintScreen } from "./support/screen";
import { endBroadcast, expect, expectAccessible, goLive, type Oxbow, test } from "./support/test";

const CHANNEL = "reload";

let streamerContext: BrowserContext;
let viewerContext: BrowserContext;
let streamer: Page;
let viewer: Page;

/** Other stories may have left their own channels on the server. */
async function onAir(oxbow: Oxbow): Promise<Live[]> {
  const { items } = await oxbow.api<{ items: Live[] }>("/api/channels");
  return items.filter((live) => live.channel === CHANNEL);
}

/** A streamer on air, and a viewer whose connections are counted. */
async function begin(browser: Browser, oxbow: Oxbow): Promise<Live> {
  const options = { baseURL: oxbow.url, viewport: { width: 1440, height: 900 } };
  streamerContext = await browser.newContext({ ...options, permissions: ["camera", "microphone"] });
  viewerContext = await browser.newContext({ ...options, permissions: [] });
  streamer = await streamerContext.newPage();
  viewer = await viewerContext.newPage();
  await viewer.addInitScript(countAnswers);
  streamer.on("dialog", (dialog) => void dialog.accept());
  await goLive(streamer, CHANNEL);
  await viewer.goto(`/@${CHANNEL}`);
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const [live] = await onAir(oxbow);
  if (!live) throw new Error("nothing is on air");
  return live;
}

/** The same broadcast moves on the viewer's screen, by the connection that it had. */
async function goesOn(oxbow: Oxbow, before: Live): Promise<void> {
  await expect(streamer.getByRole("button", { name: /^End/ })).toBeVisible({ timeout: 15_000 });
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const first = await frameNumber(viewer.locator("video"));
  await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);
  await expect
    .poll(() => onAir(oxbow))
    .toMatchObject([{ broadcast: before.broadcast, state: "live", viewers: 1 }]);
  const sessions = await viewer.evaluate(
    () => (window as unknown as { answered: unknown[] }).answered.length,
  );
  expect(sessions).toBe(1);
}

const interrupted = () => expect(viewer.locator("[data-state=interrupted]")).toBeVisible({ timeout: 10_000 });

test.afterEach(async () => {
  await streamerContext.close();
  await viewerContext.close();
});

test("a reloaded studio goes on by itself with the same devices, and viewers stay connected", async ({
  browser,
  oxbow,
}) => {
  const before = await begin(browser, oxbow);
  await streamer.getByRole("button", { name: "Turn microphone off" }).click();
  await streamer.reload();
  await interrupted();
  await goesOn(oxbow, before);
  await expect(streamer.getByText("and the same broadcast goes on.")).toBeVisible();
  await expect(streamer.getByRole("button", { name: "Turn microphone off", pressed: true })).toBeVisible();

  // A copy of the tab finds nothing to go on with.
  const [copy] = await Promise.all([
    streamerContext.waitForEvent("page"),
    streamer.evaluate(() => void window.open("/studio", "_blank")),
  ]);
  await expect(copy.getByRole("button", { name: "Go live" })).toBeEnabled();
  await expect(copy.getByText("You were on air")).toBeHidden();
  await copy.close();

  // Nor does a tab that comes after the end.
  await endBroadcast(streamer);
  await streamer.reload();
  await expect(streamer.getByRole("button", { name: "Go live" })).toBeEnabled();
  await expect(streamer.getByText("You were on air")).toBeHidden();
  expect(await onAir(oxbow)).toEqual([]);
});

test("a reloaded library goes on too", async ({ browser, oxbow }) => {
  const before = await begin(browser, oxbow);
  await streamer.getByRole("link", { name: "Library" }).first().click();
  await expect(streamer.getByRole("heading", { name: "Clips" })).toBeVisible();
  await streamer.reload();
  await interrupted();
  await streamer.getByRole("link", { name: "On air" }).click();
  await goesOn(oxbow, before);
  await endBroadcast(streamer);
});

test("a shared screen wants one press", async ({ browser, oxbow }) => {
  const before = await begin(browser, oxbow);
  await streamer.addInitScript(paintScreen);
  // What an init script does holds from the next page on; this reload is also one that goes on by itself.
  await streamer.reload();
  await goesOn(oxbow, before);
  await streamer.getByRole("button", { name: "Share" }).click();
  await expect(streamer.getByText("Shared instead of the camera")).toBeVisible();
  await expect.poll(() => frameNumber(viewer.locator("video")), { timeout: 10_000 }).toBeNull();

  await streamer.reload();
  await interrupted();
  await expect(streamer.getByRole("heading", { name: `You were on air on @${CHANNEL}` })).toBeVisible();
  await expectAccessible(streamer);
  expect(await onAir(oxbow)).toMatchObject([{ broadcast: before.broadcast, state: "reconnecting" }]);
  await streamer.getByRole("button", { name: "Share the screen and go on" }).click();
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  await expect.poll(() => frameNumber(viewer.locator("video"))).toBeNull();
  expect(await onAir(oxbow)).toMatchObject([{ broadcast: before.broadcast, state: "live", viewers: 1 }]);
  await endBroadcast(streamer);
});

test("where the browser would ask for the camera nothing goes on by itself, and it can be ended", async ({
  browser,
  oxbow,
}, info) => {
  const before = await begin(browser, oxbow);
  // This Chromium never asks; it only has to say that it would.
  await streamer.addInitScript(() => {
    navigator.permissions.query = async () => ({ state: "prompt" }) as PermissionStatus;
  });
  await streamer.reload();
  await interrupted();
  await expect(streamer.getByRole("heading", { name: `You were on air on @${CHANNEL}` })).toBeVisible();
  await streamer.screenshot({ path: info.outputPath("back.png") });
  expect(await onAir(oxbow)).toMatchObject([{ broadcast: before.broadcast, state: "reconnecting" }]);
  // Loading it once more changes nothing: the broadcast is still open, and still wants a press.
  await streamer.reload();
  await expect(streamer.getByRole("button", { name: "Go on with the broadcast" })).toBeVisible();
  await streamer.getByRole("button", { name: "End broadcast" }).click();
  await expect(viewer.locator("[data-state=ended]")).toBeVisible();
  await expect(streamer.getByText("You were on air")).toBeHidden();
  expect(await onAir(oxbow)).toEqual([]);
});
