// What viewers and the streamer see when something goes wrong on the way, and how it comes back by itself.
import { frameNumber } from "./support/number";
import { expect, expectAccessible, goLive, Oxbow, openStudio, test } from "./support/test";

test("the streamer's connection drops: a slate, then the picture again on the same page", async ({
  browser,
  oxbow,
}) => {
  const options = { baseURL: oxbow.url, permissions: ["camera", "microphone"] };
  const context = await browser.newContext(options);
  const streamer = await context.newPage();
  await goLive(streamer, "drops");
  const viewer = await (await browser.newContext({ baseURL: oxbow.url })).newPage();
  await viewer.goto("/@drops");
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  const { items } = await oxbow.api<{ items: { channel: string; broadcast: string }[] }>("/api/channels");
  const broadcast = items.find((item) => item.channel === "drops")?.broadcast;

  await context.close();
  await expect(viewer.getByRole("heading", { name: "@drops lost the connection" })).toBeVisible({
    timeout: 15_000,
  });
  await expectAccessible(viewer);

  const again = await browser.newContext(options);
  const back = await again.newPage();
  await goLive(back, "drops");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  await expect.poll(() => frameNumber(viewer.locator("video")), { timeout: 15_000 }).not.toBeNull();
  const after = await oxbow.api<{ items: { channel: string; broadcast: string }[] }>("/api/channels");
  expect(after.items.find((item) => item.channel === "drops")?.broadcast).toBe(broadcast);
  await viewer.context().close();
  await again.close();
});

test("sound alone: the page says so and plays it", async ({ browser, oxbow, page }) => {
  await openStudio(page, "radio");
  await page.getByRole("combobox", { name: "Camera" }).selectOption({ label: "No camera" });
  await page.getByRole("button", { name: "Go live" }).click();
  await expect(page.getByRole("button", { name: /^End/ })).toBeVisible({ timeout: 15_000 });
  const context = await browser.newContext({ baseURL: oxbow.url });
  const viewer = await context.newPage();
  await viewer.goto("/@radio");
  await expect(viewer.getByText("This broadcast has sound only")).toBeVisible();
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await expectAccessible(viewer);
  await context.close();
});

test("VP8 when all browsers are to be reached", async ({ page, oxbow }) => {
  await goLive(page, "all-browsers", { codec: "vp8" });
  const video = async () => {
    const { items } = await oxbow.api<{ items: { channel: string; video: string | null }[] }>(
      "/api/channels",
    );
    return items.find((item) => item.channel === "all-browsers")?.video;
  };
  await expect.poll(video).toBe("vp8");
  await expect(page.getByText("360p VP8")).toBeVisible();
});

test("the server restarts: the streamer comes back by itself, the viewer too", async ({ browser }) => {
  const oxbow = await Oxbow.start();
  const options = { baseURL: oxbow.url, permissions: ["camera", "microphone"] };
  const streamer = await (await browser.newContext(options)).newPage();
  await goLive(streamer);
  const viewer = await (await browser.newContext({ baseURL: oxbow.url })).newPage();
  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await oxbow.down("SIGKILL");
  await expect(streamer.getByRole("heading", { name: "Reconnecting" })).toBeVisible({ timeout: 25_000 });
  await oxbow.up();
  await expect(streamer.getByRole("heading", { name: "Reconnecting" })).toBeHidden({ timeout: 30_000 });
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 30_000 });
  await streamer.context().close();
  await viewer.context().close();
  await oxbow.remove();
});

test("the server stops in order: both are told", async ({ browser }) => {
  const oxbow = await Oxbow.start();
  const streamer = await (
    await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] })
  ).newPage();
  await goLive(streamer);
  const viewer = await (await browser.newContext({ baseURL: oxbow.url })).newPage();
  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  await oxbow.down();
  await expect(streamer.getByRole("heading", { name: "The server is stopping" })).toBeVisible();
  await expect(viewer.getByRole("heading", { name: "@main ended the broadcast" })).toBeVisible();
  await streamer.context().close();
  await viewer.context().close();
  await oxbow.remove();
});

test("the store is away: clips wait on the disk, say so, and play", async ({ browser }) => {
  const oxbow = await Oxbow.start({
    FILE_HOST: "http://127.0.0.1:9",
    REGION: "test",
    S3_BUCKET: "clips",
    STORJ_SECRET_ACCESS_ID: "e2e",
    STORJ_SECRET_ACCESS_KEY: "e2e-secret",
  });
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  const streamer = await context.newPage();
  await goLive(streamer);
  const library = await context.newPage();
  await library.goto("/library");
  await expect(library.locator("[data-clip]").first()).toBeVisible({ timeout: 20_000 });
  await expect(library.getByText(/^Storage cannot be reached since .* safely on this disk\.$/)).toBeVisible({
    timeout: 30_000,
  });
  await expectAccessible(library);
  // The oldest: the newest may be new.
  const clip = library.locator("[data-clip]").last();
  const pill = clip.getByText("Trying again", { exact: true });
  await expect(pill).toBeVisible({ timeout: 20_000 });
  await expect(pill).toHaveAttribute("title", /^the store is away/);
  await clip.getByRole("button", { name: /^What to do with/ }).click();
  const [answer] = await Promise.all([
    library.waitForResponse(/\/api\/clips\/[^/]+\/retry$/),
    library.getByRole("menuitem", { name: "Try again now" }).click(),
  ]);
  expect(answer.status()).toBe(200);
  await expect(library.getByText(/^Trying again: /)).toBeVisible();
  const metrics = async () => await (await fetch(`${oxbow.url}/metrics`)).text();
  // Counted every few seconds.
  await expect.poll(metrics, { timeout: 15_000 }).toMatch(/oxbow_outbox_waiting\{reason="away"\} [1-9]/);
  await library.locator("[data-clip] a").first().click();
  const video = library.getByRole("dialog").locator("video");
  await expect.poll(() => frameNumber(video)).not.toBeNull();
  await context.close();
  await oxbow.remove();
});
