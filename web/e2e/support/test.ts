// Fixtures and the few moves that every story makes.
import { AxeBuilder } from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";
import type { VideoCodec } from "../../src/rtc/link";
import { KEY, Oxbow } from "./server";

export { expect, KEY, Oxbow };

type Fixtures = { theme: "light" | "dark" };
type WorkerFixtures = { oxbow: Oxbow };

// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of the fixtures from here
async function server({}, use: (oxbow: Oxbow) => Promise<void>): Promise<void> {
  const oxbow = await Oxbow.start();
  await use(oxbow);
  await oxbow.remove();
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  theme: ["light", { option: true }],
  oxbow: [server, { scope: "worker" }],
  baseURL: async ({ oxbow }, use) => use(oxbow.url),
  page: async ({ page }, use, info) => {
    // What the page complains about belongs to the test's result.
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    await use(page);
    if (complaints.length > 0) await info.attach("page errors", { body: complaints.join("\n") });
    expect(complaints).toEqual([]);
  },
});

/** With a server of its own, on which nothing has been broadcast, whatever ran before. */
export const testOnNewServer = test.extend<object, WorkerFixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: as above
  oxbow: [async ({}, use) => server({}, use), { scope: "worker" }],
});

/** Opens the studio as the link that the server prints does. */
export async function openStudio(page: Page, channel = "main"): Promise<void> {
  await page.goto(`/studio#key=${KEY}`);
  await expect(page.getByRole("button", { name: "Go live" })).toBeEnabled();
  const field = page.getByLabel("Channel", { exact: true });
  if ((await field.inputValue()) !== channel) await field.fill(channel);
}

/** From the studio link to on air. */
export async function goLive(
  page: Page,
  channel = "main",
  options: { codec?: VideoCodec } = {},
): Promise<void> {
  await openStudio(page, channel);
  await page.getByLabel("Picture format").selectOption(options.codec ?? "h264");
  await page.getByRole("button", { name: "Go live" }).click();
  await expect(page.getByRole("button", { name: /^End/ })).toBeVisible({ timeout: 15_000 });
}

/** The page holds the key from now on, as one that was opened by the studio's link. */
export async function signIn(page: Page): Promise<void> {
  expect((await page.request.post("/api/session", { data: { key: KEY } })).ok()).toBe(true);
}

/** A whole broadcast that leaves at least so many parts. */
export async function broadcastClips(
  page: Page,
  channel: string,
  parts: number,
  options: { codec?: VideoCodec } = {},
): Promise<void> {
  await goLive(page, channel, options);
  const saved = page.getByRole("region", { name: "Recording" }).getByRole("listitem");
  await expect.poll(() => saved.count(), { timeout: 20_000 + 7_000 * parts }).toBeGreaterThanOrEqual(parts);
  await endBroadcast(page);
}

export async function endBroadcast(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^End/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End broadcast" }).click();
  await expect(page.getByText("The broadcast is over", { exact: true })).toBeVisible();
}

/** WCAG 2.2 A and AA, on the page as it is now, in both themes. */
export async function expectAccessible(page: Page): Promise<void> {
  const chosen = await page.locator("html").getAttribute("data-theme");
  for (const theme of ["light", "dark"]) {
    await page.evaluate((name) => document.documentElement.setAttribute("data-theme", name), theme);
    // Colours take 120 ms to change.
    await page.waitForFunction(() => document.getAnimations().every((a) => !(a instanceof CSSTransition)));
    const { violations } = await new AxeBuilder({ page })
      .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"])
      .analyze();
    const said = violations.map(
      (v) =>
        `${theme} ${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.failureSummary}`).join(" | ")}`,
    );
    expect(said).toEqual([]);
  }
  await page.evaluate((name) => document.documentElement.setAttribute("data-theme", name ?? "light"), chosen);
}

/** Nothing is wider than the window, once the page has laid itself out for it. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const tooWide = () =>
    page.evaluate(() => {
      if (document.documentElement.scrollWidth <= window.innerWidth) return [];
      const all = [...document.querySelectorAll("body *")];
      return all
        .filter((element) => element.getBoundingClientRect().right > window.innerWidth)
        .map((element) => element.outerHTML.slice(0, 160));
    });
  await expect.poll(tooWide, { timeout: 2_000 }).toEqual([]);
}
