// An operator looks at the media sessions while somebody sends and somebody watches.
import { readFileSync } from "node:fs";
import { expect, expectAccessible, expectNoSidewaysScroll, goLive, test } from "./support/test";

test("an operator sees who is connected, and all that is known of one, while it happens", async ({
  browser,
  oxbow,
}, info) => {
  const options = { baseURL: oxbow.url, viewport: { width: 1440, height: 900 } };
  const operator = await browser.newContext({ ...options, permissions: ["camera", "microphone"] });
  const stranger = await browser.newContext({ ...options, permissions: [] });
  const studio = await operator.newPage();
  const viewer = await stranger.newPage();
  await goLive(studio, "desk");
  await viewer.goto("/@desk");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });

  // The studio leads there; the broadcast goes on meanwhile.
  await studio.getByRole("link", { name: "Connections" }).click();
  const list = studio.getByRole("list", { name: "Media sessions" });
  await studio.getByLabel("Search").fill("desk");
  await expect(list.getByRole("listitem")).toHaveCount(2);
  await studio.getByLabel("Search").fill("nobody has this name");
  await expect(list.getByRole("listitem")).toHaveCount(0);
  await studio.getByLabel("Search").fill("desk");

  await list.getByRole("button", { name: /Streamer/ }).click();
  const report = studio.getByRole("article");
  await expect(report.getByRole("heading", { name: "Streamer, @desk" })).toBeVisible();
  await expect(report.getByText("Path found (ICE)")).toBeVisible();
  const fact = (name: string) =>
    report.locator("dt", { hasText: name }).locator("xpath=following-sibling::dd");
  await expect(fact("Keys agreed (DTLS)")).toHaveText(/^after [\d.]+\u2009m?s$/);
  await expect(fact("First keyframe")).toHaveText(/^after /);
  await expect(fact("In use")).toHaveText(/:\d+$/);
  await expect(fact("Cipher")).toHaveText("AEAD_AES_128_GCM");
  // It goes on by itself.
  const before = await fact("Packets in").textContent();
  await expect(fact("Packets in")).not.toHaveText(before ?? "");
  await expect(fact("Packets in")).toHaveText(/\/s$/);
  // What comes from it on each track: one with a height, and the sound.
  const sources = report.locator("section", { has: studio.getByRole("heading", { name: "Sources" }) });
  await expect(sources.locator("dt", { hasText: /^mid \w+$/ })).toHaveCount(1);
  const picture = sources.locator("dt", { hasText: /p$/ }).first().locator("xpath=following-sibling::dd");
  await expect(picture).toHaveText(/^[\d.]+\u2009Mbit\/s, [\d,]+ lost, [\d,]+ recovered$/);
  await expect(picture).not.toHaveText(/^0\.00/);
  await report.getByText("Offer (SDP)").click();
  await expect(report.getByText("a=ice-pwd:(redacted)").first()).toBeVisible();
  await studio.screenshot({ path: info.outputPath("streamer.png"), fullPage: true });
  await expectAccessible(studio);

  const saved = studio.waitForEvent("download");
  await report.getByRole("link", { name: "Download report" }).click();
  const file = JSON.parse(readFileSync(await (await saved).path(), "utf8"));
  expect(file).toMatchObject({ channel: "desk", role: "publisher", state: "connected" });
  expect(file.flight.length).toBeGreaterThan(100);

  await list.getByRole("button", { name: /Viewer/ }).click();
  await expect(report.getByRole("heading", { name: "Viewer, @desk" })).toBeVisible();
  await expect(fact("Estimate")).not.toBeEmpty();
  await expect(sources).toBeHidden();
  await studio.screenshot({ path: info.outputPath("viewer.png"), fullPage: true });
  await viewer.close();
  await expect(report.locator("[data-connection=closed]")).toBeVisible();
  await expect(fact("Closed")).toHaveText(/^after /);
  await studio.setViewportSize({ width: 390, height: 844 });
  await expectNoSidewaysScroll(studio);
  await expectAccessible(studio);

  const other = await stranger.newPage();
  await other.goto("/connections");
  await expect(other.getByLabel("Stream key")).toBeVisible();
  await expect(other.getByRole("list", { name: "Media sessions" })).toBeHidden();

  await operator.close();
  await stranger.close();
});
