// When a picture was taken goes from the studio's browser to the viewer's, through the server, with the packets (abs-capture-time).
import { keepConnections } from "./support/connections";
import { expect, goLive, test } from "./support/test";

type Watched = Window & { connections: RTCPeerConnection[] };
type Source = { timestamp: number; captureTimestamp?: number; senderCaptureTimeOffset?: number };

const NTP_TO_UNIX_MS = 2_208_988_800_000;

test("the player's latency goes by the time of capture", async ({ browser, oxbow }, info) => {
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  try {
    const streamer = await context.newPage();
    await goLive(streamer, "captured");
    const viewer = await context.newPage();
    await viewer.addInitScript(keepConnections);
    await viewer.goto("/@captured");
    await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
    const latency = viewer.locator("[data-latency]");
    await expect(latency).toBeVisible({ timeout: 15_000 });
    const sources = () =>
      viewer.evaluate(async () => {
        const connection = (window as unknown as Watched).connections.find(
          (one) => one.connectionState === "connected",
        );
        const receivers = connection?.getReceivers() ?? [];
        const stats = [...((await connection?.getStats())?.values() ?? [])];
        return receivers.map((receiver) => {
          const { kind } = receiver.track;
          const source: Source | undefined = receiver.getSynchronizationSources()[0];
          const { timestamp = 0, captureTimestamp = 0, senderCaptureTimeOffset = null } = source ?? {};
          const inbound = stats.find((one) => one.type === "inbound-rtp" && one.kind === kind);
          const playout = {
            of: Number(inbound?.estimatedPlayoutTimestamp ?? 0),
            at: Number(inbound?.timestamp ?? 0),
          };
          return { kind, timestamp, captureTimestamp, senderCaptureTimeOffset, playout };
        });
      });
    await expect
      .poll(async () => (await sources()).filter((one) => one.senderCaptureTimeOffset !== null).length)
      .toBe(2);
    const picture = (await sources()).find((one) => one.kind === "video");
    if (!picture) throw new Error("no picture");
    // One machine: the streamer's clock is the server's, as far as the server can know it.
    expect(Math.abs(picture.senderCaptureTimeOffset ?? Number.NaN)).toBeLessThan(50);
    const byCapture =
      picture.timestamp + NTP_TO_UNIX_MS - picture.captureTimestamp - (picture.senderCaptureTimeOffset ?? 0);
    const byReports = picture.playout.at + NTP_TO_UNIX_MS - picture.playout.of;
    const said = Number(await latency.getAttribute("data-latency"));
    await info.attach("latency in ms", { body: JSON.stringify({ ...picture, byCapture, byReports, said }) });
    expect(byCapture).toBeGreaterThan(0);
    expect(Math.abs(byCapture - said), `${byCapture} ms of one picture, ${said} ms on the page`).toBeLessThan(
      500,
    );
  } finally {
    await context.close();
  }
});
