// A network that lets no UDP through: pages hear of the TCP candidates only, both ways.
import type { BrowserContext, Page } from "@playwright/test";
import { frameNumber } from "./support/number";
import { endBroadcast, expect, goLive, test } from "./support/test";

/** Runs in the page. */
function withoutUdp(): void {
  const connections: RTCPeerConnection[] = [];
  Object.assign(window, { connections });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      connections.push(this);
    }
    override setRemoteDescription(answer: RTCSessionDescriptionInit): Promise<void> {
      const sdp = answer.sdp?.replace(/a=candidate:\S+ \d udp .*\r\n/g, "") ?? "";
      return super.setRemoteDescription({ type: answer.type, sdp });
    }
  } as typeof RTCPeerConnection;
}

/** The transport of the candidate pair that media goes by. */
async function transport(page: Page): Promise<string | undefined> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const stats = await connections[connections.length - 1]?.getStats();
    const all = [...(stats?.values() ?? [])];
    const pair = all.find((report) => report.type === "candidate-pair" && report.nominated);
    return all.find((report) => report.id === pair?.remoteCandidateId)?.protocol as string | undefined;
  });
}

test("a broadcast and its viewers get through by TCP", async ({ browser, oxbow }) => {
  const join = async (permissions: string[]): Promise<[BrowserContext, Page]> => {
    const context = await browser.newContext({ baseURL: oxbow.url, permissions });
    const page = await context.newPage();
    await page.addInitScript(withoutUdp);
    return [context, page];
  };
  const [streamerContext, streamer] = await join(["camera", "microphone"]);
  const [viewerContext, viewer] = await join([]);
  await goLive(streamer);
  expect(await transport(streamer)).toBe("tcp");

  await viewer.goto("/@main");
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  expect(await transport(viewer)).toBe("tcp");
  const first = await frameNumber(viewer.locator("video"));
  await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);
  // A browser keeps a connection for each address that it could go by. The figures are a few seconds old.
  const open = async () => {
    const metrics = await (await fetch(`${oxbow.url}/metrics`)).text();
    return Number(/^oxbow_tcp_connections\S* (\d+)$/m.exec(metrics)?.[1]);
  };
  await expect.poll(open).toBeGreaterThanOrEqual(2);

  await endBroadcast(streamer);
  await streamerContext.close();
  await viewerContext.close();
});
