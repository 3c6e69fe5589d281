// What was found wrong in a clip is marked on the editor's timeline, where it is, and a mark leads there.
import type { Locator, Page } from "@playwright/test";
import { flawsOf, type Stretch } from "./support/decode";
import { publishFlawed } from "./support/flawed";
import {
  test as base,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  Oxbow,
  signIn,
} from "./support/test";

const test = base.extend<object, { oxbow: Oxbow }>({
  oxbow: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of the fixtures from here
    async ({}, use) => {
      const oxbow = await Oxbow.start({ CLIP_LENGTH: "60" });
      await use(oxbow);
      await oxbow.remove();
    },
    { scope: "worker" },
  ],
});

test.describe.configure({ mode: "serial" });

const CHANNEL = "flawed";
const WANTED = { black: [4, 7], held: [10, 14], silent: [8, 13] } as const;
type Kind = keyof typeof WANTED;
const KINDS = Object.keys(WANTED) as Kind[];

type Clip = {
  id: string;
  durationMs: number;
  fromMs: number;
  health: { findings: { kind: string; fromMs: number; toMs: number }[] } | null;
};

let clip: Clip;
/** Where ffmpeg finds it. */
let there: Record<Kind, Stretch>;

const mark = (page: Page, kind: Kind) => page.locator(`[data-finding=${kind}]`);

/** Seconds of the clip, by where it lies on the timeline. */
async function timesOf(page: Page, shown: Locator): Promise<Stretch> {
  const box = async (locator: Locator) => {
    const found = await locator.boundingBox();
    if (!found) throw new Error("it is not seen");
    return found;
  };
  const [whole, place] = [await box(page.locator("[data-range]")), await box(shown)];
  const perSecond = whole.width / (clip.durationMs / 1_000);
  return { from: (place.x - whole.x) / perSecond, to: (place.x + place.width - whole.x) / perSecond };
}

async function open(page: Page): Promise<void> {
  await signIn(page);
  await page.goto(`/library/clips/${clip.id}`);
  await expect(mark(page, "black")).toBeVisible();
}

const position = (page: Page) =>
  page.locator("video").evaluate((video) => (video as HTMLVideoElement).currentTime);

/** The brightest of the picture's parts, 0 to 255. */
function brightness(page: Page): Promise<number> {
  return page.locator("video").evaluate((element) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 9 });
    const context = canvas.getContext("2d");
    context?.drawImage(element as HTMLVideoElement, 0, 0, 16, 9);
    return Math.max(...(context?.getImageData(0, 0, 16, 9).data.filter((_, n) => n % 4 < 3) ?? []));
  });
}

test("black, missing and silent stretches are found where they are", async ({ page, oxbow }) => {
  await page.goto("/");
  await page.mouse.click(5, 5);
  await publishFlawed(page, CHANNEL, 18, WANTED);
  const looked = async () => {
    const [first] = (await oxbow.api<{ items: Clip[] }>(`/api/clips?channel=${CHANNEL}`)).items;
    if (first) clip = first;
    return first?.health ?? null;
  };
  await expect.poll(looked, { timeout: 60_000 }).not.toBeNull();
  const media = await page.request.get(`/api/clips/${clip.id}/media`);
  const flaws = await flawsOf(new Uint8Array(await media.body()));
  for (const kind of KINDS) {
    const [only, more] = flaws[kind];
    if (!only || more) throw new Error(`${kind}: ${JSON.stringify(flaws)}`);
    const [from, to] = WANTED[kind];
    expect(Math.abs(only.to - only.from - (to - from)), kind).toBeLessThan(1);
    const found = clip.health?.findings.filter((finding) => finding.kind === kind) ?? [];
    expect(found, kind).toHaveLength(1);
    expect(Math.abs((found[0]?.fromMs ?? 0) / 1_000 - only.from), kind).toBeLessThan(0.5);
    expect(Math.abs((found[0]?.toMs ?? 0) / 1_000 - only.to), kind).toBeLessThan(0.5);
    there = { ...there, [kind]: only };
  }
  expect(clip.health?.findings).toHaveLength(KINDS.length);
});

test("each mark lies over its stretch, and says what it is and when", async ({ page }) => {
  await open(page);
  const list = page.getByRole("list", { name: "Found in this clip" });
  await expect(list.getByRole("listitem")).toHaveCount(3);
  const words = { black: "Black", held: "No picture came", silent: "Silent" };
  for (const kind of KINDS) {
    const { from, to } = await timesOf(page, mark(page, kind));
    expect(Math.abs(from - there[kind].from), kind).toBeLessThan(0.6);
    expect(Math.abs(to - there[kind].to), kind).toBeLessThan(0.6);
    await expect(mark(page, kind)).toHaveAccessibleName(
      new RegExp(`^${words[kind]}, \\d+:\\d\\d\\.\\d+ to \\d+:\\d\\d\\.\\d+$`),
    );
  }
  await expectAccessible(page);
});

test("a mark is reached by keys and leads to where it begins, as does a press on it", async ({ page }) => {
  await open(page);
  expect(await brightness(page)).toBeGreaterThan(80);
  await page.getByRole("slider", { name: /^In:/ }).focus();
  for (let n = 0; n < KINDS.length; n += 1) await page.keyboard.press("Shift+Tab");
  await expect(mark(page, "black")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect.poll(() => brightness(page)).toBeLessThan(40);
  expect(Math.abs((await position(page)) - there.black.from)).toBeLessThan(0.5);
  await page.keyboard.press("Tab");
  await expect(mark(page, "silent")).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(mark(page, "held")).toBeFocused();

  await mark(page, "silent").click();
  await expect.poll(async () => Math.abs((await position(page)) - there.silent.from)).toBeLessThan(0.5);
  // The handles stay where they were: a press on a mark cuts nothing.
  await expect(page.getByRole("button", { name: "Undo" })).toBeDisabled();

  // Closer, the first mark is out of sight; the keyboard brings it back.
  await mark(page, "held").click();
  for (let n = 0; n < 6; n += 1) await page.keyboard.press("+");
  await expect(mark(page, "black")).toHaveCSS("opacity", "0");
  await mark(page, "silent").focus();
  await page.keyboard.press("Shift+Tab");
  await expect(mark(page, "black")).toBeFocused();
  await expect(mark(page, "black")).toHaveCSS("opacity", "1");
  await expect(mark(page, "black")).toBeInViewport();
});

for (const theme of ["light", "dark"] as const) {
  test(`marks fit wide and phone, ${theme}`, async ({ page }, info) => {
    await open(page);
    await page.evaluate((name) => document.documentElement.setAttribute("data-theme", name), theme);
    await page.screenshot({ path: info.outputPath(`wide-${theme}.png`) });
    await page.setViewportSize({ width: 390, height: 844 });
    await expectNoSidewaysScroll(page);
    await expectAccessible(page);
    await page.locator("[data-timeline]").scrollIntoViewIfNeeded();
    await page.screenshot({ path: info.outputPath(`phone-${theme}.png`) });
    // Where the clip is all there is, its handles are seen as well.
    for (const edge of ["In", "Out"]) {
      const handle = page.getByRole("slider", { name: new RegExp(`^${edge}:`) });
      await expect(handle).toBeInViewport({ ratio: 1 });
    }
    // On the phone too it lies where it is.
    const { from } = await timesOf(page, mark(page, "held"));
    expect(Math.abs(from - there.held.from)).toBeLessThan(1);
  });
}
