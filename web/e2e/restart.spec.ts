// The network changes under a broadcast: ICE is restarted, and the same connections go on.
import type { Page } from "@playwright/test";
import { frameNumber } from "./support/number";
import { endBroadcast, expect, goLive, test } from "./support/test";

/** Runs in the page: connections that can be made to look as after a change of networks. */
function pretending(): void {
  class Pretending extends RTCPeerConnection {
    static all: Pretending[] = [];
    pretended: RTCPeerConnectionState | null = null;
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      Pretending.all.push(this);
    }
    override get connectionState(): RTCPeerConnectionState {
      return this.pretended ?? super.connectionState;
    }
    pretend(state: RTCPeerConnectionState | null): void {
      this.pretended = state;
      this.dispatchEvent(new Event("connectionstatechange"));
    }
  }
  Object.assign(window, { RTCPeerConnection: Pretending, connections: Pretending.all });
}

type Pretended = RTCPeerConnection & { pretend(state: RTCPeerConnectionState | null): void };

/** The server's user fragment in the connection that media goes by. */
const ufrag = (page: Page) =>
  page.evaluate(() => {
    const { connections } = window as unknown as { connections: Pretended[] };
    const standing = connections.filter((pc) => pc.remoteDescription !== null);
    return /a=ice-ufrag:(\S+)/.exec(standing[standing.length - 1]?.remoteDescription?.sdp ?? "")?.[1];
  });

/** How many connections were opened, and the pictures that went through the one in use. */
const traffic = (page: Page) =>
  page.evaluate(async () => {
    const { connections } = window as unknown as { connections: Pretended[] };
    const standing = connections.filter((pc) => pc.remoteDescription !== null);
    const reports = [...((await standing[standing.length - 1]?.getStats())?.values() ?? [])];
    const media = reports.find((r) => r.kind === "video" && (r.framesEncoded ?? r.framesDecoded) > 0);
    return { opened: standing.length, frames: Number(media?.framesEncoded ?? media?.framesDecoded ?? 0) };
  });

/** Says that the connection is broken, and that it stands again once ICE was restarted. */
async function breakNetwork(page: Page): Promise<void> {
  const before = await ufrag(page);
  await page.evaluate(() => {
    const { connections } = window as unknown as { connections: Pretended[] };
    for (const pc of connections) if (pc.remoteDescription !== null) pc.pretend("disconnected");
  });
  await expect.poll(() => ufrag(page)).not.toBe(before);
  await page.evaluate(() => {
    const { connections } = window as unknown as { connections: Pretended[] };
    for (const pc of connections) if (pc.remoteDescription !== null) pc.pretend(null);
  });
}

test("ICE restarts on both sides and the picture goes on by the same connections", async ({
  browser,
  oxbow,
}) => {
  const streamerContext = await browser.newContext({
    baseURL: oxbow.url,
    permissions: ["camera", "microphone"],
  });
  const viewerContext = await browser.newContext({ baseURL: oxbow.url, permissions: [] });
  const streamer = await streamerContext.newPage();
  const viewer = await viewerContext.newPage();
  for (const page of [streamer, viewer]) await page.addInitScript(pretending);
  await goLive(streamer);
  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  const { items } = await oxbow.api<{ items: { broadcast: string }[] }>("/api/channels");

  for (const page of [streamer, viewer]) {
    await breakNetwork(page);
    const before = await traffic(page);
    await expect.poll(async () => (await traffic(page)).frames).toBeGreaterThan(before.frames + 10);
    expect((await traffic(page)).opened).toBe(1);
  }
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  const first = await frameNumber(viewer.locator("video"));
  await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);
  const after = await oxbow.api<{ items: { broadcast: string }[] }>("/api/channels");
  expect(after.items.map((live) => live.broadcast)).toEqual(items.map((live) => live.broadcast));

  await endBroadcast(streamer);
  await streamerContext.close();
  await viewerContext.close();
});
