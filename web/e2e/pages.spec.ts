// What a visitor sees before anything has been broadcast, and what the pages say when something is wrong.
import {
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  KEY,
  openStudio,
  testOnNewServer as test,
} from "./support/test";

const PAGES = [
  { path: "/", heading: "Nobody is on air" },
  { path: "/library", heading: "No clips yet" },
  { path: "/studio", heading: "Open the studio" },
  { path: "/@nobody", heading: "Waiting for @nobody" },
  { path: "/nothing/here", heading: "Not here" },
];

for (const { path, heading } of PAGES) {
  test(`${path} is accessible and fits a phone`, async ({ page }) => {
    await page.goto(path);
    await expect(page.getByRole("heading", { name: heading })).toBeVisible();
    await expectAccessible(page);
    for (const width of [390, 320]) {
      await page.setViewportSize({ width, height: 844 });
      await expectNoSidewaysScroll(page);
    }
    await expectAccessible(page);
  });
}

test("a clip that does not exist says so", async ({ page }) => {
  await page.goto("/c/01jd0000000000000000000000");
  await expect(page.getByRole("dialog", { name: "This clip is not here" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/\/library$/);
});

test("the theme is kept and needs no reload", async ({ page }) => {
  await page.goto("/");
  const root = page.locator("html");
  await expect(root).toHaveAttribute("data-theme", "light");
  await page.getByRole("button", { name: "Dark colours" }).click();
  await expect(root).toHaveAttribute("data-theme", "dark");
  await page.reload();
  await expect(root).toHaveAttribute("data-theme", "dark");
});

test("the studio asks for the key, names what is wrong, and opens", async ({ page }) => {
  await page.goto("/studio");
  const field = page.getByLabel("Stream key");
  await page.getByRole("button", { name: "Open studio" }).click();
  await expect(field).toBeFocused();
  await expect(field).toHaveAccessibleDescription("Enter the stream key.");
  await field.fill("not the key");
  await page.getByRole("button", { name: "Open studio" }).click();
  await expect(field).toHaveAccessibleDescription("This is not the stream key of this server.");
  await field.fill(KEY);
  await page.getByRole("button", { name: "Open studio" }).click();
  await expect(page.getByRole("button", { name: "Go live" })).toBeEnabled();
});

test("the link with the key leads straight to Go live, and the key is gone from the address", async ({
  page,
  context,
}) => {
  await openStudio(page);
  expect(page.url()).not.toContain(KEY);
  expect(
    await page.evaluate(() => JSON.stringify([history.state, localStorage, document.cookie])),
  ).not.toContain(KEY);
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ name: "oxbow_session", httpOnly: true, sameSite: "Strict" });
  expect(cookie?.value).not.toContain(KEY);
  await page.reload();
  await expect(page.getByRole("button", { name: "Go live" })).toBeEnabled();
});

test("the studio before going live", async ({ page }) => {
  await openStudio(page);
  await expectAccessible(page);
  const channel = page.getByLabel("Channel", { exact: true });
  await channel.fill("Not a name!");
  await expect(channel).toHaveAccessibleDescription("Use 1 to 32 small letters, digits or dashes.");
  await expect(page.getByRole("button", { name: "Go live" })).toBeDisabled();
  await channel.fill("main");
  const preview = page.getByLabel("Preview");
  await expect.poll(() => preview.evaluate((video) => (video as HTMLVideoElement).videoWidth)).toBe(640);
  const level = page.getByRole("meter", { name: "Sound level" });
  await expect.poll(async () => Number(await level.getAttribute("aria-valuenow"))).toBeGreaterThan(-50);
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    await expectNoSidewaysScroll(page);
  }
  await expectAccessible(page);
});

test("a refused camera is explained, and another source still works", async ({ page }) => {
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("no", "NotAllowedError");
    };
  });
  await page.goto(`/studio#key=${KEY}`);
  await expect(
    page.getByRole("heading", { name: "The browser may not use the camera or microphone" }),
  ).toBeVisible();
  await expect(page.getByRole("button", { name: "Go live" })).toBeDisabled();
  await expectAccessible(page);
});

test("no connection: a bar says since when, and goes by itself", async ({ page, context }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Nobody is on air" })).toBeVisible();
  await context.setOffline(true);
  await expect(page.getByText(/^No connection since/)).toBeVisible();
  await expect(page.getByRole("heading", { name: "Nobody is on air" })).toBeVisible();
  await expectAccessible(page);
  await context.setOffline(false);
  await expect(page.getByText(/^No connection since/)).toBeHidden({ timeout: 20_000 });
});
