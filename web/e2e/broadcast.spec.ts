// The page of a broadcast: its replay, what was kept of it, and files that are made of it.
import type { Page } from "@playwright/test";
import { clipNumbers } from "./support/decode";
import { frameNumber, frameNumbers } from "./support/number";
import {
  broadcastClips,
  endBroadcast,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  goLive,
  KEY,
  type Oxbow,
  signIn,
  test,
} from "./support/test";

test.describe.configure({ mode: "serial", timeout: 120_000 });

type Clip = {
  id: string;
  kind: string;
  part: number;
  state: string;
  cause: string;
  title: string;
  video: string | null;
  audio: string | null;
  fromMs: number;
  durationMs: number;
  recipe: { pieces: { fromMs: number; toMs: number }[] } | null;
};

let broadcast = "";
/** The number of each picture of the recording, in order. */
const pictures: (number | null)[] = [];

const video = (page: Page) => page.locator("video");
const position = async (page: Page) =>
  Number(await page.locator("[data-position]").getAttribute("data-position")) / 1_000;
const cards = (page: Page) => page.locator("[data-clip]");
const playing = (page: Page) => page.locator("[data-replay=on]");

async function open(page: Page, query = ""): Promise<void> {
  await page.goto(`/b/${broadcast}${query}`);
  await expect(playing(page)).toBeVisible();
  await expect.poll(() => frameNumber(video(page)), { timeout: 20_000 }).not.toBeNull();
}

/** By the key for both, as a viewer does. A page that was asked something by a driver may start by itself. */
async function press(page: Page, wanted: "play" | "pause"): Promise<void> {
  const paused = await video(page).evaluate((element) => (element as HTMLVideoElement).paused);
  if (paused === (wanted === "play")) await page.keyboard.press("k");
}

async function newestOf(oxbow: Oxbow, channel: string): Promise<string> {
  const { items } = await oxbow.api<{ items: { id: string; live: boolean }[] }>(
    `/api/broadcasts?channel=${channel}`,
  );
  return items[0]?.id ?? "";
}

async function clipsOf(oxbow: Oxbow, query = ""): Promise<Clip[]> {
  return (await oxbow.api<{ items: Clip[] }>(`/api/clips?broadcast=${broadcast}&limit=100${query}`)).items;
}

async function mediaOf(oxbow: Oxbow, clip: string): Promise<Uint8Array> {
  const answer = await fetch(`${oxbow.url}/api/clips/${clip}/media`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  expect(answer.ok).toBe(true);
  return new Uint8Array(await answer.arrayBuffer());
}

test("a broadcast can be replayed while it goes on, from its start", async ({ browser, page, oxbow }) => {
  await goLive(page, "replay-test");
  const saved = page.getByRole("region", { name: "Recording" }).getByRole("listitem");
  await expect.poll(() => saved.count(), { timeout: 40_000 }).toBeGreaterThan(2);
  broadcast = await newestOf(oxbow, "replay-test");
  const visitor = await browser.newPage({ baseURL: oxbow.url });
  await open(visitor);
  await expect(visitor.getByRole("link", { name: "Watch live" })).toBeVisible();
  await visitor.close();
  await expect.poll(() => saved.count(), { timeout: 40_000 }).toBeGreaterThan(3);
  await endBroadcast(page);
  const parts = async () => (await clipsOf(oxbow, "&kind=part")).sort((a, b) => a.part - b.part);
  const isComplete = async () => {
    const all = await parts();
    return all.at(-1)?.cause === "end" && all.every((part) => part.state === "stored");
  };
  await expect.poll(isComplete, { timeout: 30_000 }).toBe(true);
  for (const part of await parts()) pictures.push(...(await clipNumbers(await mediaOf(oxbow, part.id))));
  expect(pictures.length).toBeGreaterThan(10 * 15);
});

test("all of it plays, over the borders of its files", async ({ page }) => {
  await open(page);
  await press(page, "pause");
  await page.keyboard.press("Home");
  // The picture that is shown at the beginning is one of the first.
  await expect.poll(() => frameNumber(video(page))).toBe(pictures[0]);
  await press(page, "play");
  const shown = (await frameNumbers(video(page), 8_000)).map((read) => pictures.indexOf(read));
  const steps = shown.slice(1).map((at, index) => at - (shown[index] ?? at));
  expect(Math.min(...steps), shown.join(" ")).toBeGreaterThanOrEqual(0);
  expect(Math.max(...steps), shown.join(" ")).toBeLessThan(15);
  expect(await position(page)).toBeGreaterThan(6);
  // To its very end, and again.
  await page.keyboard.press("9");
  await expect(page.getByRole("heading", { name: "That was all of it" })).toBeVisible({ timeout: 20_000 });
  await page.getByRole("button", { name: "Watch again" }).click();
  await expect(playing(page)).toBeVisible();
  await expect.poll(() => position(page)).toBeGreaterThan(0.2);
  expect(await position(page)).toBeLessThan(8);
});

test("an address leads to a moment, and clips lead to theirs", async ({ page, oxbow }) => {
  await open(page, "?at=7");
  await expect.poll(() => position(page)).toBeGreaterThanOrEqual(6.9);
  expect(await position(page)).toBeLessThan(7.6);
  const third = (await clipsOf(oxbow, "&kind=part")).find((clip) => clip.part === 2);
  await page.goto(`/c/${third?.id}`);
  await page.getByRole("link", { name: /^From the broadcast, at 0:\d\d$/ }).click();
  await expect(page).toHaveURL(new RegExp(`/b/${broadcast}\\?at=\\d+$`));
  await expect.poll(() => frameNumber(video(page))).not.toBeNull();
  await expect
    .poll(async () => Math.abs((await position(page)) - (third?.fromMs ?? 0) / 1_000))
    .toBeLessThan(1.1);
});

test("the library leads here, and the page of the channel as well", async ({ page }) => {
  await page.goto("/library");
  const group = page.locator(`[data-broadcast="${broadcast}"]`);
  await group.getByRole("link", { name: "Open broadcast" }).click();
  await expect(page).toHaveURL(new RegExp(`/b/${broadcast}$`));
  await expect(playing(page)).toBeVisible();
  await page.goto("/@replay-test");
  await page.getByRole("link", { name: "Watch the last broadcast" }).click();
  await expect(page).toHaveURL(new RegExp(`/b/${broadcast}$`));
});

test("it is accessible, fits a phone, and strangers are offered nothing that needs the key", async ({
  page,
}, info) => {
  await open(page);
  await expect(cards(page).first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Whole broadcast as one file" })).toBeHidden();
  await expect(page.getByRole("checkbox")).toHaveCount(0);
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("stranger-light.png"), fullPage: true });
  await signIn(page);
  await open(page);
  await expect(page.getByRole("button", { name: "Whole broadcast as one file" })).toBeVisible();
  await expectAccessible(page);
  for (const theme of ["light", "dark"]) {
    await page.evaluate((name) => document.documentElement.setAttribute("data-theme", name), theme);
    await page.screenshot({ path: info.outputPath(`wide-${theme}.png`), fullPage: true });
  }
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    await expectNoSidewaysScroll(page);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: info.outputPath("phone-dark.png"), fullPage: true });
  await page.evaluate(() => document.documentElement.setAttribute("data-theme", "light"));
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("phone-light.png"), fullPage: true });
});

test("the whole of it becomes one file, in three formats", async ({ page, oxbow }) => {
  await signIn(page);
  await open(page);
  const before = new Set((await clipsOf(oxbow)).map((clip) => clip.id));
  const make = async (item: string): Promise<Clip> => {
    await page.getByRole("button", { name: "Whole broadcast as one file" }).click();
    await page.getByRole("menuitem", { name: item }).click();
    await expect(page.getByText("The file is being made.").last()).toBeVisible();
    let made: Clip | undefined;
    const isReady = async () => {
      made = (await clipsOf(oxbow)).find((clip) => !before.has(clip.id));
      return made !== undefined && made.state !== "exporting";
    };
    await expect.poll(isReady, { timeout: 60_000 }).toBe(true);
    if (made === undefined) throw new Error("no clip");
    before.add(made.id);
    await expect(page.locator(`[data-clip="${made.id}"]`)).toBeVisible();
    return made;
  };
  const whole = await make("As it was recorded");
  expect(whole).toMatchObject({
    kind: "made",
    video: "h264",
    audio: "opus",
    title: expect.stringMatching(/, whole$/),
  });
  expect(await clipNumbers(await mediaOf(oxbow, whole.id))).toEqual(pictures);
  const compatible = await make("For every player and editor (H.264, AAC)");
  expect(compatible).toMatchObject({ video: "h264", audio: "aac", title: expect.stringMatching(/player$/) });
  const sound = await make("Sound only");
  expect(sound.video).toBeNull();
  expect(Math.abs(sound.durationMs - whole.durationMs)).toBeLessThan(300);
});

test("highlights: chosen clips become one file, in the order they happened", async ({
  page,
  oxbow,
}, info) => {
  await signIn(page);
  await open(page);
  const parts = (await clipsOf(oxbow, "&kind=part")).sort((a, b) => a.part - b.part);
  const chosen = [parts[2], parts[0]].map((part) => part?.id ?? "");
  for (const id of chosen) await page.locator(`[data-clip="${id}"]`).getByRole("checkbox").check();
  await page.getByRole("region", { name: "Chosen clips" }).getByRole("button", { name: "Merge" }).click();
  await expect(page).toHaveURL(/\/library\/clips\//);
  const id = page.url().split("/").pop() ?? "";
  const made = () => oxbow.api<Clip>(`/api/clips/${id}`);
  await expect.poll(async () => (await made()).state, { timeout: 60_000 }).not.toBe("exporting");
  const [first, second] = (await made()).recipe?.pieces ?? [];
  expect(first?.fromMs).toBeLessThan(second?.fromMs ?? 0);
  // On the timeline they are where they were taken from, and files of all of it are nowhere.
  await open(page);
  const arcs = page.getByRole("list", { name: "Clips on this timeline" });
  await expect(arcs.getByRole("button", { name: "Play 2 clips here" })).toHaveCount(2);
  await expect(arcs.getByRole("button", { name: /, whole/ })).toHaveCount(0);
  await page.screenshot({ path: info.outputPath("made.png"), fullPage: true });
});

test("a viewer keeps a piece of what was just shown", async ({ page, oxbow }) => {
  await open(page, "?at=9");
  await expect.poll(() => position(page)).toBeGreaterThan(8.9);
  await page.keyboard.press("c");
  await page.getByLabel("Title").fill("The ninth second");
  await page.getByRole("button", { name: "Save clip" }).click();
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await expect(page.getByRole("dialog", { name: "The ninth second" })).toBeVisible();
  const made = (await clipsOf(oxbow, "&kind=made")).find((clip) => clip.title === "The ninth second");
  const piece = made?.recipe?.pieces[0];
  expect(Math.abs((piece?.toMs ?? 0) - 9_000)).toBeLessThan(1_000);
});

test("a broadcast in VP8 says that it cannot be replayed, and plays as one file", async ({
  page,
  oxbow,
}, info) => {
  await broadcastClips(page, "vp8-test", 2, { codec: "vp8" });
  await page.goto(`/b/${await newestOf(oxbow, "vp8-test")}`);
  await expect(
    page.getByRole("heading", { name: "This broadcast cannot be replayed here: its picture is VP8" }),
  ).toBeVisible();
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("vp8.png") });
  await expect(cards(page).first()).toBeVisible();
  await page.getByRole("button", { name: "Play it as one file" }).click();
  await expect.poll(() => frameNumber(video(page)), { timeout: 30_000 }).not.toBeNull();
  await expect.poll(() => position(page)).toBeGreaterThan(1);
  await page.keyboard.press("End");
  await expect(page.getByRole("heading", { name: "That was all of it" })).toBeVisible({ timeout: 20_000 });
});

test("what is not kept, not theirs, or not there is said", async ({ page }, info) => {
  const answers: [number, string][] = [
    [410, "The recording of this broadcast is not kept any more"],
    [404, "The replay is not here, or not for you"],
    [503, "The replay stopped"],
  ];
  for (const [status, said] of answers) {
    await page.route("**/hls/index.m3u8", (route) => route.fulfill({ status }));
    await page.goto(`/b/${broadcast}`);
    await expect(page.getByRole("heading", { name: said })).toBeVisible();
    await expect(cards(page).first(), "its clips are there").toBeVisible();
    await expectAccessible(page);
    await page.screenshot({ path: info.outputPath(`${status}.png`) });
    await page.unroute("**/hls/index.m3u8");
  }
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(playing(page)).toBeVisible();
  await page.goto("/b/0000000000000000000000000a");
  await expect(page.getByRole("heading", { name: "This is not here, or not for you" })).toBeVisible();
  await expectAccessible(page);
});
