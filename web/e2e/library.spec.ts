// The library after a short broadcast: play, seek, search, rename, delete with undo, download.
import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { frameNumber } from "./support/number";
import {
  broadcastClips,
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  openStudio,
  test,
} from "./support/test";

test.describe.configure({ mode: "serial" });

let broadcast = "";

test("a broadcast leaves clips", async ({ page, oxbow }) => {
  await broadcastClips(page, "library-test", 4);
  const { items } = await oxbow.api<{ items: { id: string; channel: string }[] }>("/api/broadcasts");
  broadcast = items.find((item) => item.channel === "library-test")?.id ?? "";
  expect(broadcast).not.toBe("");
});

async function open(page: Page): Promise<void> {
  await page.goto(`/library?broadcast=${broadcast}`);
  await expect(page.locator("[data-clip][data-state=stored]").first()).toBeVisible();
}

async function signIn(page: Page): Promise<void> {
  await openStudio(page);
}

test("is accessible", async ({ page }) => {
  await open(page);
  await expectAccessible(page);
  await page.locator("[data-clip] a").first().click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await expectAccessible(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await expectAccessible(page);
  await expectNoSidewaysScroll(page);
});

test("a clip plays and seeks, and its keys work", async ({ page }) => {
  await open(page);
  await page.locator("[data-clip] a").nth(1).click();
  await expect(page).toHaveURL(/\/c\//);
  const video = page.getByRole("dialog").locator("video");
  await expect.poll(() => video.evaluate((v) => (v as HTMLVideoElement).currentTime)).toBeGreaterThan(0.3);
  await expect.poll(() => frameNumber(video)).not.toBeNull();
  await page.keyboard.press("k");
  expect(await video.evaluate((v) => (v as HTMLVideoElement).paused)).toBe(true);
  await page.keyboard.press("End");
  await expect.poll(() => video.evaluate((v) => (v as HTMLVideoElement).currentTime)).toBeGreaterThan(3);
  const late = await frameNumber(video);
  await page.keyboard.press("Home");
  await expect.poll(() => video.evaluate((v) => (v as HTMLVideoElement).currentTime)).toBe(0);
  await expect.poll(() => frameNumber(video)).toBeLessThan(late ?? 0);
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/\/library\?broadcast=/);
});

test("an address opens the clip", async ({ page }) => {
  await open(page);
  const id = await page.locator("[data-clip]").first().getAttribute("data-clip");
  await page.goto(`/c/${id}`);
  await expect(page.getByRole("dialog").locator("video")).toBeVisible();
});

test("a visitor may download and nothing more", async ({ page }) => {
  await open(page);
  await page
    .getByRole("button", { name: /^What to do with/ })
    .first()
    .click();
  await expect(page.getByRole("menuitem", { name: "Rename" })).toBeHidden();
  await expect(page.getByRole("menuitem", { name: "Delete" })).toBeHidden();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("menuitem", { name: "Download" }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/\.(mp4|webm)$/);
  expect(readFileSync(await download.path()).length).toBeGreaterThan(10_000);
});

test("a title is changed, found by search, and kept", async ({ page }) => {
  await signIn(page);
  await open(page);
  await page
    .getByRole("button", { name: /^What to do with/ })
    .first()
    .click();
  await page.getByRole("menuitem", { name: "Rename" }).click();
  const field = page.getByRole("dialog").getByLabel("Title");
  await field.fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(field).toHaveAccessibleDescription("A clip needs a title.");
  await expectAccessible(page);
  await field.fill("Kick drops out, only the delay is left");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Title saved.")).toBeVisible();
  await page.getByRole("searchbox").fill("DELAY is");
  await expect(page.locator("[data-clip]")).toHaveCount(1);
  await expect(page).toHaveURL(/q=DELAY/);
  await page.getByRole("searchbox").fill("nothing is called this");
  await expect(
    page.getByText("No clip has “nothing is called this” in its title, description or tags."),
  ).toBeVisible();
  await page.reload();
  await expect(
    page.getByText("No clip has “nothing is called this” in its title, description or tags."),
  ).toBeVisible();
});

test("delete can be undone, and without that is for good", async ({ page, oxbow }) => {
  await signIn(page);
  await open(page);
  const cards = page.locator("[data-clip]");
  const before = await cards.count();
  const id = await cards.first().getAttribute("data-clip");
  const remove = async () => {
    await page
      .locator(`[data-clip="${id}"]`)
      .getByRole("button", { name: /^What to do with/ })
      .click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await expect(cards).toHaveCount(before - 1);
  };
  await remove();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(cards).toHaveCount(before);
  expect((await fetch(`${oxbow.url}/api/clips/${id}`)).status).toBe(200);
  await remove();
  await expect
    .poll(async () => (await fetch(`${oxbow.url}/api/clips/${id}`)).status, { timeout: 15_000 })
    .toBe(404);
  await page.reload();
  await expect(cards).toHaveCount(before - 1);
});

test("days that are turned round are said to be", async ({ page }) => {
  await signIn(page);
  await page.goto("/library?from=2026-05-02&to=2026-05-01");
  const said = "The last day is before the first. Change one of them.";
  for (const name of ["From", "To"]) {
    await expect(page.getByLabel(name, { exact: true })).toHaveAccessibleDescription(said);
  }
  await expectAccessible(page);
  await page.getByLabel("To", { exact: true }).fill("2026-05-03");
  await expect(page.getByText(said)).toBeHidden();
});
