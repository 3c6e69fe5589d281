// Simulcast through the real server: three sizes of one picture leave the streamer's browser and reach the server.
import type { Browser, BrowserContext, Page } from "@playwright/test";
import { PLAIN_CHROMIUM } from "./support/chromium";
import { keepConnections } from "./support/connections";
import { Relay } from "./support/relay";
import { freeMediaPort } from "./support/server";
import { endBroadcast, expect, expectAccessible, goLive, KEY, Oxbow, test } from "./support/test";

test.use({ launchOptions: PLAIN_CHROMIUM });

type Connections = { connections: RTCPeerConnection[] };

type Sent = { rid: string; height: number; frames: number; bytes: number; limited: string };

/** What is sent by rid, the smallest first. */
function sent(page: Page): Promise<Sent[]> {
  return page.evaluate(async () => {
    const connection = (window as unknown as Connections).connections.at(-1);
    const stats = [...((await connection?.getStats())?.values() ?? [])];
    return stats
      .filter((report) => report.type === "outbound-rtp" && report.kind === "video")
      .map((report) => ({
        rid: String(report.rid),
        height: Number(report.frameHeight ?? 0),
        frames: Number(report.framesSent ?? 0),
        bytes: Number(report.bytesSent ?? 0),
        limited: String(report.qualityLimitationReason),
      }))
      .sort((a, b) => a.height - b.height);
  });
}

test.describe.configure({ mode: "serial" });

let streamerContext: BrowserContext;
let streamer: Page;

test.beforeAll(async ({ browser, oxbow }) => {
  streamerContext = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  streamer = await streamerContext.newPage();
  await streamer.addInitScript(keepConnections);
});

test.afterAll(async () => {
  await streamerContext.close();
});

/** The height that a page shows, and how many pictures it has shown. */
function picture(page: Page): Promise<{ height: number; frames: number }> {
  return page.locator("video").evaluate((video: HTMLVideoElement) => ({
    height: video.videoHeight,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
  }));
}

const heights = async (page: Page) => (await sent(page)).map((one) => one.height);

test("three sizes flow, and a viewer chooses between them", async ({ browser, oxbow }) => {
  await goLive(streamer, "main", { codec: "vp8" });
  await expect.poll(() => heights(streamer), { timeout: 30_000 }).toEqual([180, 360, 720]);
  const before = await sent(streamer);
  await streamer.waitForTimeout(3_000);
  for (const [at, now] of (await sent(streamer)).entries()) {
    expect(now.frames - (before[at]?.frames ?? 0), now.rid).toBeGreaterThan(20);
  }
  const context = await browser.newContext({ baseURL: oxbow.url });
  const viewer = await context.newPage();
  await viewer.goto("/@main");
  await expect.poll(() => picture(viewer), { timeout: 20_000 }).toMatchObject({ height: 720 });

  // The viewer chooses, the picture changes, and goes on.
  const menu = viewer.getByRole("button", { name: /^Quality/ });
  await expect(menu).toHaveText("Auto");
  for (const [choice, height] of [
    ["180p", 180],
    ["360p", 360],
    ["720p", 720],
    ["Auto", 720],
  ] as const) {
    await menu.click();
    if (choice === "180p") await expectAccessible(viewer);
    await viewer.getByRole("menuitemradio", { name: choice }).click();
    await expect(menu).toHaveText(choice);
    await expect.poll(() => picture(viewer), { timeout: 10_000 }).toMatchObject({ height });
    const { frames } = await picture(viewer);
    await expect
      .poll(async () => (await picture(viewer)).frames, { timeout: 5_000 })
      .toBeGreaterThan(frames + 20);
  }
  await context.close();
  await endBroadcast(streamer);
});

test("they flow from a WHIP client that asks for no start", async ({ browser, oxbow }) => {
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  const client = await context.newPage();
  await client.addInitScript(keepConnections);
  await client.goto("/");
  await client.evaluate(async (key) => {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
    const connection = new RTCPeerConnection();
    connection.addTransceiver(media.getVideoTracks()[0] ?? "video", {
      direction: "sendonly",
      sendEncodings: [
        { rid: "low", scaleResolutionDownBy: 4 },
        { rid: "mid", scaleResolutionDownBy: 2 },
        { rid: "high" },
      ],
    });
    await connection.setLocalDescription();
    const headers = { "content-type": "application/sdp", authorization: `Bearer ${key}` };
    const body = connection.localDescription?.sdp ?? "";
    const answer = await fetch("/whip/plain", { method: "POST", headers, body });
    await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  }, KEY);
  await expect.poll(() => heights(client), { timeout: 40_000 }).toEqual([180, 360, 720]);
  await expect.poll(async () => (await sent(client))[2]?.frames, { timeout: 20_000 }).toBeGreaterThan(100);
  await context.close();
});

/** Only this page goes through a slow network; the others know the server's own port. */
async function goThrough(page: Page, relay: Relay, port: number): Promise<void> {
  await page.addInitScript(
    ([own, slow]) => {
      const Kept = window.RTCPeerConnection;
      window.RTCPeerConnection = class extends Kept {
        override setRemoteDescription(answer: RTCSessionDescriptionInit): Promise<void> {
          const lines = (answer.sdp ?? "").split("\r\n").filter((line) => !/^a=candidate:.* tcp /.test(line));
          const sdp = lines.join("\r\n").replaceAll(` ${own} typ host`, ` ${slow} typ host`);
          return super.setRemoteDescription({ ...answer, sdp });
        }
      };
    },
    [String(port), relay.address.split(":").at(-1) ?? ""] as const,
  );
}

/** A streamer with three sizes, and a viewer on the channel's page behind a line of `down` kbit/s. */
async function throughSlowNetwork(
  browser: Browser,
  line: { seed: number; down: number },
  story: (viewer: Page, relay: Relay) => Promise<void>,
): Promise<void> {
  const port = await freeMediaPort();
  const oxbow = await Oxbow.start({ PEER_PORT: String(port) });
  const relay = await Relay.start("127.0.0.1:0", `127.0.0.1:${port}`, { ...line, delay: 10 });
  const streamerContext = await browser.newContext({
    baseURL: oxbow.url,
    permissions: ["camera", "microphone"],
  });
  const context = await browser.newContext({ baseURL: oxbow.url });
  try {
    const studio = await streamerContext.newPage();
    await studio.addInitScript(keepConnections);
    await goLive(studio, "main", { codec: "vp8" });
    await expect.poll(() => heights(studio), { timeout: 30_000 }).toEqual([180, 360, 720]);
    const viewer = await context.newPage();
    await viewer.addInitScript(keepConnections);
    await goThrough(viewer, relay, port);
    await viewer.goto("/@main");
    await story(viewer, relay);
  } finally {
    await streamerContext.close();
    await context.close();
    await oxbow.remove();
    relay.kill();
  }
}

test("a viewer with a slow network gets a smaller picture, and it goes on", async ({ browser }) => {
  test.setTimeout(120_000);
  await throughSlowNetwork(browser, { seed: 3, down: 650 }, async (viewer) => {
    await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 20_000 });
    // The best layer takes more than passes.
    await expect.poll(async () => (await picture(viewer)).height, { timeout: 20_000 }).toBeLessThan(720);
    await viewer.waitForTimeout(5_000);
    for (let second = 0; second < 10; second += 1) {
      const before = await picture(viewer);
      await viewer.waitForTimeout(1_000);
      const after = await picture(viewer);
      expect(after.frames - before.frames, `pictures in second ${second}`).toBeGreaterThan(5);
      expect(after.height).toBeLessThan(720);
    }
    await expect(viewer.locator("[data-state=live]")).toBeVisible();
  });
});

type Source = { rid: string | null; height: number; bitrate: number; lost: number; recovered: number };

test("through 5 % loss the three sizes grow, and lost packets of each are repaired", async ({ browser }) => {
  test.setTimeout(120_000);
  const port = await freeMediaPort();
  const relay = await Relay.start("127.0.0.1:0", `127.0.0.1:${port}`, { seed: 5, loss: 5, delay: 10 });
  const oxbow = await Oxbow.start({ PEER_PORT: String(port), PEER_HOST: relay.address });
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  /** What the server says of the layers, the smallest first. */
  const layers = async (): Promise<Source[]> => {
    const all = await oxbow.api<{ items: { role: string; sources: Source[] }[] }>("/api/connections");
    const sources = all.items.find((one) => one.role === "publisher")?.sources ?? [];
    return sources.filter((one) => one.rid !== null).sort((a, b) => a.height - b.height);
  };
  try {
    const studio = await context.newPage();
    await goLive(studio, "main", { codec: "vp8" });
    await expect.poll(async () => (await layers()).map((one) => one.height)).toHaveLength(3);
    const first = await layers();
    await expect
      .poll(async () => (await layers()).map((one) => one.height), { timeout: 40_000 })
      .toEqual([180, 360, 720]);
    // What the best one takes in the end, and more than all together took at first.
    await expect.poll(async () => (await layers())[2]?.bitrate, { timeout: 40_000 }).toBeGreaterThan(500_000);
    const all = (of: Source[]) => of.reduce((sum, one) => sum + one.bitrate, 0);
    expect(all(await layers())).toBeGreaterThan(all(first));
    await expect
      .poll(async () => (await layers()).filter((one) => one.recovered > 5).map((one) => one.rid), {
        timeout: 40_000,
      })
      .toEqual(["q", "h", "f"]);
    for (const one of await layers()) {
      expect(one.bitrate, `${one.rid} flows`).toBeGreaterThan(20_000);
      expect(one.recovered, `of ${one.lost} of ${one.rid}`).toBeGreaterThan(one.lost * 0.7);
    }
    const { up } = await relay.end();
    expect(up.lost / up.datagrams).toBeGreaterThan(0.03);
  } finally {
    await context.close();
    await oxbow.remove();
    relay.kill();
  }
});

/** Packets of sound that reach a page meanwhile. */
async function soundIn(page: Page, ms: number): Promise<number> {
  const packets = () =>
    page.evaluate(async () => {
      const connection = (window as unknown as Connections).connections.at(-1);
      const stats = [...((await connection?.getStats())?.values() ?? [])];
      const sound = stats.find((report) => report.type === "inbound-rtp" && report.kind === "audio");
      return Number(sound?.packetsReceived ?? 0);
    });
  const before = await packets();
  await page.waitForTimeout(ms);
  return (await packets()) - before;
}

/** Pictures that a page shows meanwhile. */
async function picturesIn(page: Page, ms: number): Promise<number> {
  const before = (await picture(page)).frames;
  await page.waitForTimeout(ms);
  return (await picture(page)).frames - before;
}

test("bandwidth falls in steps until only the sound is left, and comes back", async ({ browser }) => {
  test.setTimeout(240_000);
  await throughSlowNetwork(browser, { seed: 4, down: 5000 }, async (viewer, relay) => {
    await expect.poll(async () => (await picture(viewer)).height, { timeout: 30_000 }).toBe(720);

    relay.limit(300);
    await expect.poll(async () => (await picture(viewer)).height, { timeout: 20_000 }).toBe(180);
    await viewer.waitForTimeout(3_000);
    for (let second = 0; second < 5; second += 1) {
      expect(await picturesIn(viewer, 2_000), `pictures in span ${second}`).toBeGreaterThan(5);
    }

    const told = viewer.getByText("Your network carries only the sound");
    relay.limit(80);
    await expect(told).toBeVisible({ timeout: 20_000 });
    await expectAccessible(viewer);
    const heard = await soundIn(viewer, 3_000);
    expect(heard, "packets of sound in three seconds").toBeGreaterThan(100);
    await expect(viewer.locator("[data-state=live]")).toBeVisible();

    relay.limit(5000);
    await expect(told).toBeHidden({ timeout: 60_000 });
    await expect.poll(async () => (await picture(viewer)).height, { timeout: 60_000 }).toBe(720);
    for (let second = 0; second < 5; second += 1) {
      expect(await picturesIn(viewer, 2_000), `pictures in span ${second}`).toBeGreaterThan(10);
    }
  });
});
