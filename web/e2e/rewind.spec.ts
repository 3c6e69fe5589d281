// A viewer rewinds a broadcast while it goes on, on the same page, and comes back to live.
import type { BrowserContext, Page } from "@playwright/test";
import { CAPTURE } from "./support/capture";
import { frameNumber, frameNumbers } from "./support/number";
import { endBroadcast, expect, expectAccessible, expectNoSidewaysScroll, goLive, test } from "./support/test";

test.describe.configure({ mode: "serial", timeout: 120_000 });

/** The camera begins again after so many pictures. */
const ROUND = CAPTURE.seconds * CAPTURE.fps;

let streamerContext: BrowserContext;
let streamer: Page;
let context: BrowserContext;
let viewer: Page;
/** What was shown live, and when. */
const seen: { at: number; number: number }[] = [];

test.beforeAll(async ({ browser, oxbow }) => {
  const options = { baseURL: oxbow.url, viewport: { width: 1440, height: 900 } };
  streamerContext = await browser.newContext({ ...options, permissions: ["camera", "microphone"] });
  context = await browser.newContext({ ...options, permissions: [] });
  streamer = await streamerContext.newPage();
  viewer = await context.newPage();
});

test.afterAll(async () => {
  await streamerContext.close();
  await context.close();
});

const video = () => viewer.locator("video");
const rewound = () => viewer.locator("[data-rewound]");
const slider = () => viewer.getByRole("slider", { name: "Position in the broadcast" });
const backToLive = () => viewer.getByRole("button", { name: /behind\. Back to live$/ });

/** From one picture of the camera to another. */
const pictures = (from: number, to: number) => (((to - from) % ROUND) + ROUND) % ROUND;

async function number(): Promise<number> {
  let read: number | null = null;
  await expect.poll(async () => (read = await frameNumber(video()))).not.toBeNull();
  return read as unknown as number;
}

/** Remembers the live for a while, as one who looks at it. */
async function look(seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1_000;
  while (Date.now() < until) {
    const read = await frameNumber(video());
    if (read !== null) seen.push({ at: Date.now(), number: read });
    await viewer.waitForTimeout(100);
  }
}

/** How long ago the picture on the screen was live, in seconds. */
async function shownAfter(): Promise<number> {
  const shown = await number();
  const now = Date.now();
  const nearest = seen.toSorted(
    (a, b) =>
      Math.min(pictures(a.number, shown), pictures(shown, a.number)) -
      Math.min(pictures(b.number, shown), pictures(shown, b.number)),
  )[0];
  if (nearest === undefined) throw new Error("nothing was seen live");
  const apart = Math.min(pictures(nearest.number, shown), pictures(shown, nearest.number));
  expect(apart, `picture ${shown} was live`).toBeLessThan(CAPTURE.fps);
  return (now - nearest.at) / 1_000;
}

/** What the page says. */
async function saidBehind(): Promise<number> {
  const text = (await backToLive().textContent()) ?? "";
  const [, minutes, seconds] = /^(?:(\d+):)?(\d+)/.exec(text.trim()) ?? [];
  return Number(minutes ?? 0) * 60 + Number(seconds);
}

test("back by key: the picture of twenty seconds ago, and the page says so", async ({
  browserName: _,
}, info) => {
  await goLive(streamer);
  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  await look(26);
  await viewer.keyboard.press("j");
  const pressed = Date.now();
  await viewer.keyboard.press("j");
  await expect(rewound()).toBeVisible();
  await expect.poll(() => video().evaluate((v) => (v as HTMLVideoElement).readyState)).toBeGreaterThan(2);
  info.annotations.push({ type: "first picture after ms", description: String(Date.now() - pressed) });
  await expect(backToLive()).toBeVisible();
  await expect.poll(async () => Math.abs((await shownAfter()) - (await saidBehind()))).toBeLessThan(1.5);
  const behind = await saidBehind();
  expect(behind).toBeGreaterThanOrEqual(19);
  expect(behind).toBeLessThan(26);
  await expect(slider()).toHaveAttribute("aria-valuetext", /^2\d seconds behind live, of .*\d+ seconds$/);
});

test("it plays on over the borders of files without losing a picture", async () => {
  // Files are five seconds long here.
  const shown = (await frameNumbers(video(), 8_000)).filter((read): read is number => read !== null);
  const steps = shown.slice(1).map((read, index) => pictures(shown[index] ?? read, read));
  expect(Math.max(...steps), shown.join(" ")).toBeLessThan(CAPTURE.fps / 2);
  const passed = steps.reduce((sum, step) => sum + step, 0);
  expect(passed).toBeGreaterThan(6 * CAPTURE.fps);
});

test("the page is accessible meanwhile, and fits a phone", async ({ browserName: _ }, info) => {
  await expectAccessible(viewer);
  await viewer.screenshot({ path: info.outputPath("behind-light.png") });
  await viewer.evaluate(() => document.documentElement.setAttribute("data-theme", "dark"));
  await viewer.screenshot({ path: info.outputPath("behind-dark.png") });
  await viewer.setViewportSize({ width: 390, height: 844 });
  await expectNoSidewaysScroll(viewer);
  await viewer.screenshot({ path: info.outputPath("behind-phone.png") });
  await viewer.setViewportSize({ width: 1440, height: 900 });
  await viewer.evaluate(() => document.documentElement.setAttribute("data-theme", "light"));
});

test("back to live, and the picture is the streamer's", async () => {
  await backToLive().click();
  await expect(rewound()).toBeHidden();
  await expect(viewer.getByText("Live", { exact: true }).last()).toBeVisible();
  // The two pages are asked one after the other: what the viewer sees lies between what was sent a second before and after.
  const isNow = async () => {
    const before = await frameNumber(streamer.locator("video"));
    const shown = await number();
    const after = await frameNumber(streamer.locator("video"));
    if (before === null || after === null) return false;
    const earliest = before - CAPTURE.fps;
    return pictures(earliest, shown) <= pictures(earliest, after);
  };
  await expect.poll(isNow).toBe(true);
});

test("back by dragging the line", async () => {
  const box = await slider().boundingBox();
  const wanted = seen[seen.length >> 1];
  if (box === null || wanted === undefined) throw new Error("no line");
  const y = box.y + box.height / 2;
  const whole = Number(await slider().getAttribute("max"));
  const x = box.x + box.width * (1 - (Date.now() - wanted.at) / whole);
  await viewer.mouse.move(box.x + box.width - 2, y);
  await viewer.mouse.down();
  await viewer.mouse.move(x, y, { steps: 5 });
  await viewer.mouse.up();
  await expect(rewound()).toBeVisible();
  await expect.poll(async () => Math.abs((await shownAfter()) - (await saidBehind()))).toBeLessThan(1.5);
  await viewer.keyboard.press("g");
  await expect(rewound()).toBeHidden();
});

test("a pause goes on where it was, behind the live", async () => {
  await expect.poll(() => frameNumber(video())).not.toBeNull();
  await viewer.keyboard.press("k");
  const before = await number();
  await expect(backToLive()).toBeVisible();
  await expect.poll(saidBehind).toBeGreaterThan(4);
  expect(await number()).toBe(before);
  await viewer.keyboard.press("k");
  await expect(rewound()).toBeVisible();
  await expect.poll(() => video().evaluate((v) => (v as HTMLVideoElement).currentTime)).toBeGreaterThan(0);
  await expect.poll(number).not.toBe(before);
  expect(pictures(before, await number())).toBeLessThan(3 * CAPTURE.fps);
});

test("who is behind when it ends sees it to the end, and from the start", async () => {
  await endBroadcast(streamer);
  await expect(viewer.getByText("Replay", { exact: true })).toBeVisible();
  await expect(rewound()).toBeVisible();
  await expect(viewer.getByRole("heading", { name: "@main ended the broadcast" })).toBeVisible({
    timeout: 40_000,
  });
  await viewer.getByRole("button", { name: "Watch from the start" }).click();
  await expect(rewound()).toBeVisible();
  const first = seen[0]?.number ?? 0;
  await expect.poll(async () => pictures(await number(), first)).toBeLessThan(30 * CAPTURE.fps);
});

test("a format that cannot be rewound is named", async () => {
  await goLive(streamer, "main", { codec: "vp8" });
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 20_000 });
  await expect(rewound()).toBeHidden();
  await expect(slider()).toBeHidden();
  await viewer.keyboard.press("j");
  await expect(viewer.getByText(/cannot be rewound: its picture is VP8/)).toBeVisible();
  await endBroadcast(streamer);
});
