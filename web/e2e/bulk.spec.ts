// Many clips at once: filters that live in the address, choosing by keys and pointer, one change to all, delete with undo.
import type { Page } from "@playwright/test";
import {
  broadcastClips,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  KEY,
  openStudio,
  test,
} from "./support/test";

test.describe.configure({ mode: "serial" });

type Clip = { id: string; title: string; visibility: string; pinned: boolean; tags: string[] };

let broadcast = "";

test("a broadcast leaves clips", async ({ page, oxbow }) => {
  await broadcastClips(page, "bulk-test", 5);
  const { items } = await oxbow.api<{ items: { id: string; channel: string }[] }>("/api/broadcasts");
  broadcast = items.find((item) => item.channel === "bulk-test")?.id ?? "";
  expect(broadcast).not.toBe("");
});

const cards = (page: Page) => page.locator("[data-clip]");
const bar = (page: Page) => page.getByRole("region", { name: "Chosen clips" });

async function open(page: Page): Promise<void> {
  await openStudio(page);
  await page.goto(`/library?broadcast=${broadcast}`);
  await expect(page.locator("[data-clip][data-state=stored]").nth(3)).toBeVisible();
}

async function ids(page: Page): Promise<string[]> {
  return cards(page).evaluateAll((all) => all.map((card) => card.getAttribute("data-clip") ?? ""));
}

test("clips are chosen by pointer, by Shift and by keys", async ({ page }) => {
  await open(page);
  const count = await cards(page).count();
  const box = (n: number) => cards(page).nth(n).getByRole("checkbox");
  await box(0).check();
  await expect(bar(page)).toContainText("1 chosen");
  await box(2).click({ modifiers: ["Shift"] });
  await expect(bar(page)).toContainText("3 chosen");
  expect((await bar(page).boundingBox())?.height, "one row").toBeLessThan(60);
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(bar(page)).toBeHidden();

  await cards(page).first().getByRole("link").focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+Space");
  await expect(bar(page)).toContainText("3 chosen");
  await page.keyboard.press("Control+a");
  await expect(bar(page)).toContainText(`${count} chosen`);
  await page.keyboard.press("Home");
  await expect(cards(page).first().getByRole("link")).toBeFocused();
  await page.setViewportSize({ width: 390, height: 844 });
  await expectNoSidewaysScroll(page);
  await expectAccessible(page);
});

test("tags and publication of many are changed at once", async ({ page, oxbow }) => {
  await open(page);
  const [first = "", second = ""] = await ids(page);
  for (const id of [first, second]) await page.locator(`[data-clip="${id}"]`).getByRole("checkbox").check();
  await bar(page).getByRole("button", { name: "Tag" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Add tags").fill("Modular,  Slow   drums");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Tags of 2\u2009clips changed.")).toBeVisible();
  await bar(page).getByRole("button", { name: "Who can see it" }).click();
  await page.getByRole("menuitem", { name: "Hidden" }).click();
  await expect(page.getByText("2\u2009clips hidden.")).toBeVisible();
  await bar(page).getByRole("button", { name: "Keep for good" }).click();
  await expect(page.getByText("2\u2009clips kept for good.")).toBeVisible();
  for (const id of [first, second]) {
    expect(await oxbow.api<Clip>(`/api/clips/${id}`)).toMatchObject({
      tags: ["modular", "slow drums"],
      visibility: "hidden",
      pinned: true,
    });
    await expect(page.locator(`[data-clip="${id}"]`).getByText("Published")).toBeHidden();
  }
  const others = await oxbow.api<{ items: Clip[] }>("/api/clips?channel=bulk-test&visibility=published");
  expect(others.items.map((clip) => clip.id)).not.toContain(first);
  expect(others.items.length).toBeGreaterThan(1);
});

test("filters live in the address and survive a reload", async ({ page }) => {
  await open(page);
  const filters = page.getByRole("complementary", { name: "Filters" });
  await filters.getByRole("button", { name: "slow drums" }).click();
  await filters.getByRole("button", { name: "Hidden" }).click();
  await expect(cards(page)).toHaveCount(2);
  await expect(page).toHaveURL(/tag=slow\+drums/);
  await expect(page).toHaveURL(/visibility=hidden/);
  await page.reload();
  await expect(cards(page)).toHaveCount(2);
  await expect(page.getByRole("button", { name: "Remove filter: Tag: slow drums" })).toBeVisible();
  await expect(filters.getByRole("button", { name: "Hidden" })).toHaveAttribute("aria-pressed", "true");
  await expectAccessible(page);

  // Nothing is left: the page knows which filter is too much.
  await filters.getByRole("button", { name: "Made clips" }).click();
  await expect(page.getByRole("heading", { name: "There are no clips in this choice." })).toBeVisible();
  await expect(page.getByRole("button", { name: "Drop Tag: slow drums" })).toBeHidden();
  await page.getByRole("button", { name: "Drop Made clips" }).click();
  await expect(cards(page)).toHaveCount(2);
  await expect(page).not.toHaveURL(/kind=/);
  await page.getByRole("button", { name: "Remove filter: Hidden" }).click();
  await page.getByRole("button", { name: "Remove filter: Tag: slow drums" }).click();
  await expect.poll(() => cards(page).count()).toBeGreaterThan(3);

  const [day = ""] = new Date().toISOString().split("T");
  await page.goto(`/library?broadcast=${broadcast}&to=2001-01-01`);
  await expect(page.getByRole("button", { name: "Drop To 1 Jan 2001" })).toBeVisible();
  await page.goto(`/library?broadcast=${broadcast}&from=${day}`);
  await expect.poll(() => cards(page).count()).toBeGreaterThan(3);
});

test("several become one clip, in the order in which they happened", async ({ page, oxbow }) => {
  await open(page);
  const [second = "", first = ""] = await ids(page);
  for (const id of [second, first]) await page.locator(`[data-clip="${id}"]`).getByRole("checkbox").check();
  await bar(page).getByRole("button", { name: "Merge" }).click();
  await expect(page).toHaveURL(/\/library\/clips\//);
  await expect(page.getByRole("textbox", { name: "Title" })).toHaveValue("Highlights of 2 clips", {
    timeout: 40_000,
  });
  type Made = { kind: string; durationMs: number; recipe: { pieces: { fromMs: number }[] } };
  const made = await oxbow.api<Made>(`/api/clips/${page.url().split("/").pop()}`);
  const parts = await Promise.all([first, second].map((id) => oxbow.api<Made>(`/api/clips/${id}`)));
  expect(made.kind).toBe("made");
  expect(made.recipe.pieces.length).toBe(2);
  expect(made.recipe.pieces[0]?.fromMs ?? 0).toBeLessThan(made.recipe.pieces[1]?.fromMs ?? 0);
  const both = parts.reduce((sum, part) => sum + part.durationMs, 0);
  expect(Math.abs(made.durationMs - both)).toBeLessThan(250);
});

test("on a phone the filters are a sheet", async ({ page }, info) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page);
  await page.getByRole("button", { name: "Filters" }).click();
  const sheet = page.getByRole("dialog", { name: "Filters" });
  await expectAccessible(page);
  await sheet.getByRole("button", { name: "Kept for good" }).click();
  await sheet.getByRole("button", { name: "Show the clips" }).click();
  await expect(cards(page)).toHaveCount(2);
  await expect(page).toHaveURL(/pinned=yes/);
  const search = await page.getByRole("searchbox").boundingBox();
  expect(search?.width, "room to type beside the chips").toBeGreaterThan(180);
  await cards(page).first().getByRole("checkbox").check();
  await expect(bar(page)).toContainText("1 chosen");
  await expectNoSidewaysScroll(page);
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("bar.png") });
});

test("many are deleted after the offer to undo, and not before", async ({ page, oxbow }) => {
  await open(page);
  const before = await cards(page).count();
  const [first = "", second = ""] = (await ids(page)).slice(-2);
  const choose = async () => {
    for (const id of [first, second]) await page.locator(`[data-clip="${id}"]`).getByRole("checkbox").check();
    await page.keyboard.press("Delete");
    await expect(cards(page)).toHaveCount(before - 2);
  };
  await choose();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(cards(page)).toHaveCount(before);
  await oxbow.api(`/api/clips/${first}`);
  await choose();
  const status = async (id: string) =>
    (
      await fetch(`${oxbow.url}/api/clips/${id}`, {
        headers: { authorization: `Bearer ${KEY}` },
      })
    ).status;
  await expect.poll(() => status(first), { timeout: 15_000 }).toBe(404);
  expect(await status(second)).toBe(404);
  await page.reload();
  await expect(cards(page)).toHaveCount(before - 2);
});
