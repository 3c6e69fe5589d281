// The editor on a recorded clip: cutting by keys alone, two who edit at once, text that outlives a lost connection.
import type { Browser, Locator, Page } from "@playwright/test";
import { clipNumbers } from "./support/decode";
import { frameNumber } from "./support/number";
import {
  broadcastClips,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  signIn,
  test,
} from "./support/test";

test.describe.configure({ mode: "serial" });

type Clip = { id: string; part: number; kind: string; state: string; title: string; durationMs: number };

let clip = "";

test("a broadcast leaves a clip to edit", async ({ page, oxbow }) => {
  await broadcastClips(page, "editor-test", 3);
  const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?channel=editor-test");
  clip = items.find((item) => item.part === 1)?.id ?? "";
  expect(clip).not.toBe("");
});

async function open(page: Page, id = clip): Promise<Locator> {
  await signIn(page);
  await page.goto(`/library/clips/${id}`);
  const video = page.locator("video");
  await expect.poll(() => frameNumber(video), { timeout: 30_000 }).not.toBeNull();
  return video;
}

const handle = (page: Page, which: "In" | "Out") =>
  page.getByRole("slider", { name: new RegExp(`^${which}:`) });

/** Presses a key and waits until the next picture is there. */
async function step(page: Page, video: Locator, key: string): Promise<number> {
  const before = await frameNumber(video);
  await page.keyboard.press(key);
  await expect.poll(() => frameNumber(video)).not.toBe(before);
  return (await frameNumber(video)) ?? -1;
}

test("is accessible and fits a phone", async ({ page }) => {
  await open(page);
  await expect(handle(page, "In")).toBeVisible();
  await expect(page.getByRole("button", { name: "Save cut" })).toBeInViewport();
  await expectAccessible(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.getByRole("button", { name: "Save cut" })).toBeInViewport();
  await expectAccessible(page);
  await expectNoSidewaysScroll(page);
});

test("pictures are stepped through one by one, in both directions", async ({ page }) => {
  const video = await open(page);
  await page.keyboard.press("Home");
  const first = (await frameNumber(video)) ?? -1;
  const forward = [await step(page, video, "ArrowRight"), await step(page, video, "ArrowRight")];
  expect(forward[0]).toBeGreaterThan(first);
  expect(forward[1]).toBeGreaterThan(forward[0] ?? 0);
  expect(await step(page, video, "ArrowLeft")).toBe(forward[0]);
  expect(await step(page, video, "ArrowLeft")).toBe(first);
});

test("J, K and L play in both directions, faster with each press", async ({ page }) => {
  const video = await open(page);
  await page.keyboard.press("Home");
  await page.keyboard.press("l");
  await page.keyboard.press("l");
  await expect(page.getByText("2×", { exact: true })).toBeVisible();
  expect(await video.evaluate((v) => (v as HTMLVideoElement).playbackRate)).toBe(2);
  await expect.poll(() => video.evaluate((v) => (v as HTMLVideoElement).currentTime)).toBeGreaterThan(1);
  await page.keyboard.press("k");
  expect(await video.evaluate((v) => (v as HTMLVideoElement).paused)).toBe(true);
  const late = await video.evaluate((v) => (v as HTMLVideoElement).currentTime);
  await page.keyboard.press("j");
  await expect
    .poll(() => video.evaluate((v) => (v as HTMLVideoElement).currentTime))
    .toBeLessThan(late - 0.3);
  await page.keyboard.press("k");
});

test("a cut by keys alone begins with the picture that was chosen, and the original stays", async ({
  page,
  oxbow,
}) => {
  const video = await open(page);
  await page.keyboard.press("Home");
  const first = (await frameNumber(video)) ?? -1;
  await page.keyboard.press("Shift+ArrowRight");
  await expect.poll(() => frameNumber(video)).toBeGreaterThan(first + 15);
  let chosen = -1;
  for (let n = 0; n < 5; n += 1) chosen = await step(page, video, "ArrowRight");
  await page.keyboard.press("i");
  const cutFrom = await handle(page, "In").getAttribute("aria-valuenow");
  await page.keyboard.press("Shift+ArrowRight");
  await expect.poll(() => frameNumber(video)).toBeGreaterThan(chosen + 15);
  let last = -1;
  for (let n = 0; n < 3; n += 1) last = await step(page, video, "ArrowRight");
  await page.keyboard.press("o");
  await page.keyboard.press("Shift+I");
  await expect.poll(() => frameNumber(video)).toBe(chosen);
  // One step back in what was done, and forth again.
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Control+z");
  await expect(handle(page, "In")).not.toHaveAttribute("aria-valuenow", cutFrom ?? "");
  await page.keyboard.press("Control+Shift+z");
  await page.keyboard.press("Control+Shift+z");
  await expect(handle(page, "In")).toHaveAttribute("aria-valuenow", cutFrom ?? "");

  await page.getByRole("button", { name: "Save cut" }).focus();
  await page.keyboard.press("Enter");
  await expect(page).not.toHaveURL(new RegExp(clip), { timeout: 15_000 });
  await expect(handle(page, "In")).toBeVisible({ timeout: 30_000 });
  const made = page.locator("video");
  await page.keyboard.press("Home");
  await expect.poll(() => frameNumber(made), { timeout: 30_000 }).toBe(chosen);
  await page.keyboard.press("End");
  await expect.poll(() => frameNumber(made)).toBe(last);
  const id = page.url().split("/").pop() ?? "";
  expect(await oxbow.api<Clip>(`/api/clips/${id}`)).toMatchObject({ kind: "made" });
  expect(await oxbow.api<Clip>(`/api/clips/${clip}`)).toMatchObject({ kind: "part", part: 1 });
});

test("a handle is moved by its keys and by a typed time, and says where it is", async ({ page }) => {
  await open(page);
  const handleIn = handle(page, "In");
  const before = Number(await handleIn.getAttribute("aria-valuenow"));
  await handleIn.focus();
  await page.keyboard.press("Shift+ArrowRight");
  await expect(handleIn).toHaveAttribute("aria-valuenow", String(before + 1_000));
  await expect(handleIn).toHaveAttribute("aria-valuetext", /\d+(\.\d)? seconds?$/);
  const field = page.getByRole("textbox", { name: "In, as a time" });
  await field.fill(`0:0${((before + 2_000) / 1_000).toFixed(3)}`.replace("0:0", "0:"));
  await field.press("Enter");
  await expect(handleIn).toHaveAttribute("aria-valuenow", String(before + 2_000));
  await field.fill("soon");
  await expect(field).toHaveAttribute("aria-invalid", "true");
  await field.press("Enter");
  await expect(handleIn).toHaveAttribute("aria-valuenow", String(before + 2_000));
  await expect(page.locator("[data-fast]")).toHaveText(/^Fast would start .*(earlier|same picture)\.$/);
});

test("a handle that is pulled beyond the clip takes the picture along", async ({ page, oxbow }, info) => {
  const parts = (await oxbow.api<{ items: Clip[] }>("/api/clips?channel=editor-test&kind=part")).items;
  const pictures = async (part: number) => {
    const id = parts.find((one) => one.part === part)?.id;
    const media = await page.request.get(`/api/clips/${id}/media`);
    return clipNumbers(new Uint8Array(await media.body()));
  };
  const video = await open(page);
  const [before, own, after] = await Promise.all([pictures(0), pictures(1), pictures(2)]);
  const shown = () => frameNumber(video);
  await page.keyboard.press("Home");
  await expect.poll(shown).toBe(own[0]);
  // One picture back is the last of the part before, and forth again is in the clip.
  await page.keyboard.press("ArrowLeft");
  await expect.poll(shown, { timeout: 20_000 }).toBe(before.at(-1));
  await page.keyboard.press("ArrowRight");
  await expect.poll(shown).toBe(own[0]);

  const handleIn = handle(page, "In");
  await handleIn.focus();
  const start = Number(await handleIn.getAttribute("aria-valuenow"));
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Shift+ArrowLeft");
  await expect(handleIn).toHaveAttribute("aria-valuenow", String(start - 2_000));
  const isOf = (all: (number | null)[]) => async () => all.includes(await shown());
  await expect.poll(isOf(before.slice(0, -20)), { timeout: 20_000 }).toBe(true);
  await page.screenshot({ path: info.outputPath("beyond.png") });
  const begins = await shown();
  // The handle lies somewhere within that picture: the cut is to begin with all of it.
  await page.keyboard.press("i");

  // It plays from there, over the border and through the clip.
  await page.keyboard.press("Shift+I");
  await expect.poll(shown).toBe(begins);
  await page.locator("body").press("l");
  await expect.poll(isOf(own.slice(10)), { timeout: 20_000 }).toBe(true);
  await page.keyboard.press("k");

  // What is cut is what was shown.
  const handleOut = handle(page, "Out");
  await handleOut.focus();
  await page.keyboard.press("Shift+ArrowRight");
  await expect.poll(isOf(after), { timeout: 20_000 }).toBe(true);
  const ends = await shown();
  await page.keyboard.press("o");
  await page.getByRole("button", { name: "Save cut" }).click();
  await expect(page).not.toHaveURL(new RegExp(clip), { timeout: 15_000 });
  await expect(handle(page, "In")).toBeVisible({ timeout: 30_000 });
  const made = await page.request.get(`/api/clips/${page.url().split("/").pop()}/media`);
  const numbers = await clipNumbers(new Uint8Array(await made.body()));
  expect(numbers[0]).toBe(begins);
  expect(numbers.at(-1)).toBe(ends);
});

test("the picture on the screen becomes the cover", async ({ page, oxbow }, info) => {
  type Covered = { poster: string; posters: { url: string; atMs: number; chosen: boolean }[] };
  const clipNow = () => oxbow.api<Covered>(`/api/clips/${clip}`);
  const video = await open(page);
  const before = (await clipNow()).posters.length;
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowRight");
  for (let n = 0; n < 3; n += 1) await step(page, video, "ArrowRight");
  const shown = await frameNumber(video);
  await page.getByRole("button", { name: "Use the picture on the screen" }).click();
  await expect.poll(async () => (await clipNow()).posters.length, { timeout: 20_000 }).toBe(before + 1);
  await expect.poll(async () => (await clipNow()).posters.at(-1)?.chosen).toBe(true);
  const made = (await clipNow()).posters.at(-1);
  const at = await video.evaluate((v) => (v as HTMLVideoElement).currentTime * 1_000);
  expect(Math.abs((made?.atMs ?? 0) - at)).toBeLessThan(60);
  // It carries the number of the picture that was on the screen.
  const picture = await page.request.get(made?.url ?? "");
  expect(await clipNumbers(new Uint8Array(await picture.body()))).toEqual([shown]);
  const poster = await page.request.get(`/api/clips/${clip}/poster`);
  expect(await poster.body()).toEqual(await picture.body());
  await expect(page.getByRole("radio", { name: /^Picture at/ }).last()).toBeChecked();
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("cover.png") });
});

test("a tag that is too long is said to be, and stays in its field", async ({ page }) => {
  await open(page);
  const field = page.getByLabel("Tags", { exact: true });
  await field.fill(`${"long".repeat(20)},`);
  await expect(field).toHaveAccessibleDescription("A tag has at most 40 characters.");
  const tag = page.getByRole("button", { name: /^Remove tag: long/ });
  const box = await tag.boundingBox();
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThan(1440);
  await tag.click();
  await expect(field).not.toHaveAttribute("aria-invalid", "true");
});

test("what is said about a clip saves itself, and is published by a key", async ({ page, oxbow }) => {
  await open(page);
  const state = page.locator("[data-save]");
  await page.getByLabel("Title", { exact: true }).fill("Building the drum from noise");
  await page.getByLabel("Description").fill("White noise, one envelope.");
  await page.getByLabel("Tags", { exact: true }).fill("Modular, how-to,");
  await expect(page.getByRole("button", { name: "Remove tag: modular" })).toBeVisible();
  await page.getByRole("button", { name: "Add a link" }).click();
  await page.getByLabel("Link 1, title").fill("The module");
  await page.getByLabel("Link 1, address").fill("oxbow.example");
  await expect(page.getByText("An address begins with http:// or https://.")).toBeVisible();
  await expect(state).toHaveText("Not saved yet");
  await page.getByLabel("Link 1, address").fill("https://oxbow.example/drum");
  await expect(state).toHaveText(/^Saved /);
  await page.getByRole("radiogroup", { name: "Who can see it" }).getByText("Hidden").click();
  await expect
    .poll(async () => await oxbow.api(`/api/clips/${clip}`))
    .toMatchObject({ visibility: "hidden" });
  await page.keyboard.press("Control+Enter");
  await expect
    .poll(async () => await oxbow.api(`/api/clips/${clip}`))
    .toMatchObject({
      title: "Building the drum from noise",
      description: "White noise, one envelope.",
      tags: ["modular", "how-to"],
      links: [{ title: "The module", url: "https://oxbow.example/drum" }],
      visibility: "published",
    });
  await expect(page.getByRole("button", { name: "Published", exact: true })).toBeDisabled();
});

async function another(browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext({ baseURL: url })).newPage();
  await signIn(page);
  await page.goto(`/library/clips/${clip}`);
  await expect(page.getByLabel("Title", { exact: true })).toBeVisible();
  return page;
}

test("two editors: nothing is overwritten before somebody chooses", async ({ page, browser, oxbow }) => {
  await open(page);
  const other = await another(browser, oxbow.url);
  await other.getByLabel("Title", { exact: true }).fill("Theirs");
  await other.getByLabel("Tags", { exact: true }).fill("late,");
  await expect.poll(async () => (await oxbow.api<Clip>(`/api/clips/${clip}`)).title).toBe("Theirs");
  await other.context().close();

  await page.getByLabel("Title", { exact: true }).fill("Mine");
  await page.getByLabel("Description").fill("Mine as well");
  await expect(page.getByRole("dialog", { name: "Two versions of this clip" })).toBeVisible();
  await expectAccessible(page);
  expect((await oxbow.api<Clip>(`/api/clips/${clip}`)).title).toBe("Theirs");
  const save = page.getByRole("button", { name: "Save my choice" });
  await expect(save).toBeDisabled();
  await page.getByRole("radio", { name: /^Yours, not saved\s*Mine$/ }).check();
  await save.click();
  await expect
    .poll(async () => await oxbow.api(`/api/clips/${clip}`))
    .toMatchObject({ title: "Mine", description: "Mine as well", tags: ["modular", "how-to", "late"] });
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("button", { name: "Remove tag: late" })).toBeVisible();
});

test("text that could not be saved outlives the page", async ({ page, context, oxbow }) => {
  await open(page);
  await context.setOffline(true);
  await page.getByLabel("Description").fill("Written without a network");
  await expect(page.locator("[data-save]")).toHaveText("No connection; kept on this device");
  await page.close();
  await context.setOffline(false);
  const next = await context.newPage();
  await next.goto(`/library/clips/${clip}`);
  await expect(next.getByLabel("Description")).toHaveValue("Written without a network");
  await expect
    .poll(async () => await oxbow.api(`/api/clips/${clip}`))
    .toMatchObject({ description: "Written without a network" });
});

test("without the key the editor says what it needs", async ({ page }) => {
  await page.goto(`/library/clips/${clip}`);
  await expect(page.getByRole("heading", { name: "Editing needs the stream key" })).toBeVisible();
  await expectAccessible(page);
});
