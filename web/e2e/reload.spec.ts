// The streamer reloads the studio on air: viewers wait with their connection, and the same broadcast goes on.
import type { Live } from "../src/api/generated/protocol";
import { frameNumber } from "./support/number";
import { endBroadcast, expect, goLive, test } from "./support/test";

test("a reloaded studio continues its broadcast, and viewers stay connected", async ({ browser, oxbow }) => {
  const streamerContext = await browser.newContext({
    baseURL: oxbow.url,
    permissions: ["camera", "microphone"],
  });
  const viewerContext = await browser.newContext({ baseURL: oxbow.url, permissions: [] });
  const streamer = await streamerContext.newPage();
  const viewer = await viewerContext.newPage();
  await viewer.addInitScript(() => {
    const answered: RTCPeerConnection[] = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      override setRemoteDescription(answer: RTCSessionDescriptionInit): Promise<void> {
        answered.push(this);
        return super.setRemoteDescription(answer);
      }
    };
    Object.assign(window, { answered });
  });
  const sessions = () =>
    viewer.evaluate(() => (window as unknown as { answered: unknown[] }).answered.length);
  // Other stories may have left their own channels on the server.
  const onAir = async () => {
    const { items } = await oxbow.api<{ items: Live[] }>("/api/channels");
    return items.filter((live) => live.channel === "reload");
  };

  await goLive(streamer, "reload");
  await viewer.goto("/@reload");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const [before] = await onAir();
  expect(await sessions()).toBe(1);

  streamer.on("dialog", (dialog) => void dialog.accept());
  await streamer.reload();
  await expect(viewer.locator("[data-state=interrupted]")).toBeVisible({ timeout: 10_000 });
  await expect
    .poll(onAir)
    .toMatchObject([{ broadcast: before?.broadcast, state: "reconnecting", viewers: 1 }]);
  await expect(streamer.getByRole("button", { name: "Go live" })).toBeEnabled();
  await goLive(streamer, "reload");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const first = await frameNumber(viewer.locator("video"));
  await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);

  expect(await onAir()).toMatchObject([{ broadcast: before?.broadcast, state: "live", viewers: 1 }]);
  expect(await sessions()).toBe(1);
  await endBroadcast(streamer);
  await streamerContext.close();
  await viewerContext.close();
});
