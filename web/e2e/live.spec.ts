// A broadcast through the real server as two people see it: the streamer in the studio, a viewer on the channel's page.
import type { BrowserContext, Page } from "@playwright/test";
import { frameNumber, frameNumbers } from "./support/number";
import { paintScreen } from "./support/screen";
import {
  endBroadcast,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  goLive,
  openStudio,
  test,
} from "./support/test";

test.describe.configure({ mode: "serial" });

let streamerContext: BrowserContext;
let streamer: Page;
let viewerContext: BrowserContext;
let viewer: Page;

test.beforeAll(async ({ browser, oxbow }) => {
  const options = {
    baseURL: oxbow.url,
    permissions: ["camera", "microphone"],
    viewport: { width: 1440, height: 900 },
  };
  streamerContext = await browser.newContext(options);
  viewerContext = await browser.newContext({ ...options, permissions: [] });
  streamer = await streamerContext.newPage();
  viewer = await viewerContext.newPage();
  // What a test asks of a page counts as a person's press; this viewer has pressed nothing.
  await viewer.addInitScript(() => {
    Object.defineProperty(navigator, "userActivation", { value: { hasBeenActive: false, isActive: false } });
  });
});

test.afterAll(async () => {
  await streamerContext.close();
  await viewerContext.close();
});

test("a waiting viewer gets the live when it starts", async () => {
  await viewer.goto("/@main");
  await expect(viewer.getByRole("heading", { name: "Waiting for @main" })).toBeVisible();
  await goLive(streamer);
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  await expect(viewer.getByText("Live", { exact: true }).last()).toBeVisible();
});

test("the picture moves and is the right one", async () => {
  const numbers = await frameNumbers(viewer.locator("video"), 3_000);
  const read = numbers.filter((number): number is number => number !== null);
  expect(read.length).toBeGreaterThan(20);
  expect(read.length / numbers.length).toBeGreaterThan(0.9);
  for (const [index, number] of read.entries()) {
    const before = read[index - 1];
    if (before !== undefined) expect(number).toBeGreaterThanOrEqual(before);
  }
});

test("the page says how late the picture is, and tells the server", async ({ oxbow }) => {
  const latency = viewer.locator("[data-latency]");
  await expect(latency).toBeVisible();
  const ms = Number(await latency.getAttribute("data-latency"));
  // One machine: encoder, network and decoder, and no clock between them.
  expect(ms).toBeGreaterThan(0);
  expect(ms).toBeLessThan(2_000);
  await expect(latency).toContainText(/^\d+\.\d+ s behind$/);
  const told = async () => {
    const metrics = await (await fetch(`${oxbow.url}/metrics`)).text();
    return Number(/^oxbow_latency_seconds_count (\d+)$/m.exec(metrics)?.[1] ?? 0);
  };
  await expect.poll(told, { timeout: 20_000 }).toBeGreaterThan(0);
});

test("a viewer who comes later sees the picture within a second", async ({ browser, oxbow }, info) => {
  const joins: number[] = [];
  // Three, since the machine also encodes, decodes and records meanwhile; the middle one counts.
  for (let round = 0; round < 3; round += 1) {
    const context = await browser.newContext({ baseURL: oxbow.url });
    const late = await context.newPage();
    const prepared = late.waitForResponse(/assets\/watch-/);
    await late.goto("/");
    await prepared;
    await late.getByRole("link", { name: "Watch", exact: true }).click();
    await expect(late.locator("[data-state=live]")).toBeVisible();
    joins.push(
      await late.evaluate(() => {
        const at = (name: string) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN;
        return at("oxbow:first-frame") - at("oxbow:join");
      }),
    );
    await expect.poll(() => frameNumber(late.locator("video"))).not.toBeNull();
    await expect(viewer.locator("[data-viewers='2']")).toBeVisible();
    await context.close();
    await expect(viewer.locator("[data-viewers='1']")).toBeVisible();
  }
  info.annotations.push({ type: "joined after ms", description: joins.map(Math.round).join(", ") });
  expect(joins.sort((a, b) => a - b)[1]).toBeLessThan(1_000);
});

test("sound starts only when it is asked for", async () => {
  const video = viewer.locator("video");
  expect(await video.evaluate((element) => (element as HTMLVideoElement).muted)).toBe(true);
  await viewer.getByRole("button", { name: "Turn sound on" }).click();
  expect(await video.evaluate((element) => (element as HTMLVideoElement).muted)).toBe(false);
  await expect(viewer.getByRole("button", { name: "Turn sound on" })).toBeHidden();
});

test("the studio says how it is going", async () => {
  await expect(streamer.locator("[data-verdict=good]")).toBeVisible({ timeout: 20_000 });
  for (const gauge of ["Picture rate", "Frames", "Round trip", "Lost packets"]) {
    await expect(streamer.getByText(gauge, { exact: true })).toBeVisible();
  }
  await expectAccessible(streamer);
});

test("clips appear by themselves in the studio, on the channel's page and in the library", async () => {
  await expect(
    streamer.getByRole("region", { name: "Recording" }).locator("[data-state=stored]").first(),
  ).toBeVisible({
    timeout: 20_000,
  });
  await expect(viewer.locator("[data-clip]").first()).toBeVisible();
  const library = await viewerContext.newPage();
  await library.goto("/library");
  await expect(library.locator("[data-clip]").first()).toBeVisible();
  const before = await library.locator("[data-clip]").count();
  await expect
    .poll(() => library.locator("[data-clip]").count(), { timeout: 15_000 })
    .toBeGreaterThan(before);
  await expectAccessible(library);
  await library.setViewportSize({ width: 320, height: 700 });
  await expectNoSidewaysScroll(library);
  await library.close();
});

test("a viewer keeps what was just shown, and opens it by its link", async () => {
  await viewer.bringToFront();
  await viewer.keyboard.press("c");
  const sheet = viewer.getByRole("dialog", { name: "Keep a clip" });
  await expect(sheet.getByLabel("Title")).toHaveValue(/^@main, /);
  await expectAccessible(viewer);
  await sheet.getByLabel("Title").fill("The pass before the goal");
  await sheet.getByRole("button", { name: "15 s" }).click();
  await sheet.getByRole("button", { name: "Save clip" }).click();
  await expect(viewer.getByText("Saving the clip.")).toBeVisible();
  const saved = viewer.getByText("Clip saved: The pass before the goal");
  await expect(saved).toBeVisible({ timeout: 15_000 });
  // The picture went on all the while.
  expect(await viewer.locator("video").evaluate((element) => (element as HTMLVideoElement).paused)).toBe(
    false,
  );

  // Whoever has the link sees it, who has not does not.
  const [page] = await viewer.evaluate(async () => {
    const { items } = (await (await fetch("/api/clips?text=goal")).json()) as { items: unknown[] };
    return [items.length];
  });
  expect(page, "it is listed nowhere").toBe(0);
  const other = await viewerContext.newPage();
  await viewer.getByRole("button", { name: "Open", exact: true }).click();
  await expect(viewer).toHaveURL(/\/c\/[0-9a-z]{26}\?link=v1\./);
  const address = new URL(viewer.url());
  await other.goto(`${address.pathname}${address.search}`);
  const playing = other.getByRole("dialog").locator("video");
  await expect
    .poll(() => playing.evaluate((element) => (element as HTMLVideoElement).readyState), { timeout: 15_000 })
    .toBeGreaterThanOrEqual(2);
  const seconds = await playing.evaluate((element) => (element as HTMLVideoElement).duration);
  expect(seconds, "15 s, from the keyframe before").toBeGreaterThanOrEqual(14.5);
  await other.goto(address.pathname);
  await expect(other.getByText("This clip is not here")).toBeVisible();
  await other.close();
  await viewer.goto("/@main");
  await expect(viewer.locator("video")).toBeVisible();
});

test("the channel's page is accessible on air, and fits a phone", async () => {
  await expectAccessible(viewer);
  for (const width of [390, 320]) {
    await viewer.setViewportSize({ width, height: 844 });
    await expectNoSidewaysScroll(viewer);
    await expectAccessible(viewer);
  }
  await viewer.setViewportSize({ width: 1440, height: 900 });
});

test("home shows who is on air", async () => {
  const home = await viewerContext.newPage();
  await home.goto("/");
  await expect(home.getByRole("heading", { name: "@main" })).toBeVisible();
  await expect(home.getByText("1 watching")).toBeVisible();
  await expectAccessible(home);
  await home.close();
});

test("a second streamer is told that the channel is busy, and disturbs nothing", async ({
  browser,
  oxbow,
}) => {
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  const second = await context.newPage();
  await openStudio(second);
  await second.getByRole("button", { name: "Go live" }).click();
  await expect(second.getByRole("heading", { name: "This channel is already on air" })).toBeVisible();
  await expectAccessible(second);
  await context.close();
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await expect(streamer.locator("[data-verdict=good]")).toBeVisible();
});

test("changing the source on air needs no new connection", async () => {
  await streamer.bringToFront();
  await streamer.evaluate(paintScreen);
  await streamer.getByRole("button", { name: "Share" }).click();
  await expect(streamer.getByText("Shared instead of the camera")).toBeVisible();
  await expect.poll(() => frameNumber(viewer.locator("video")), { timeout: 10_000 }).toBeNull();
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await streamer.getByRole("button", { name: "Stop", exact: true }).click();
  await expect.poll(() => frameNumber(viewer.locator("video")), { timeout: 10_000 }).not.toBeNull();
  await expect(streamer.getByText("On air", { exact: true }).first()).toBeVisible();
});

test("looking something up in the library does not end the broadcast", async () => {
  await streamer.getByRole("link", { name: "Library" }).first().click();
  await expect(streamer.locator("[data-clip]").first()).toBeVisible();
  await streamer.getByRole("link", { name: "On air" }).click();
  await expect(streamer.getByRole("button", { name: /^End/ })).toBeVisible();
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
});

test("the end: viewers get the link to the recording", async () => {
  await endBroadcast(streamer);
  await expectAccessible(streamer);
  await expect(viewer.getByRole("heading", { name: "@main ended the broadcast" })).toBeVisible();
  await expectAccessible(viewer);
  await viewer.getByRole("link", { name: "Watch the recording" }).click();
  await expect(viewer).toHaveURL(/\/b\/[0-9a-z]{26}$/);
  await expect(viewer.locator("[data-replay=on]")).toBeVisible();
  await expect(viewer.locator("[data-clip]").first()).toBeVisible();
});
