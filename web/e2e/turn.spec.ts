// A network from which only a TURN server can be reached: a real one, and browsers that use nothing else.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Page } from "@playwright/test";
import { frameNumber } from "./support/number";
import { freeMediaPort, Oxbow } from "./support/server";
import { endBroadcast, expect, goLive, test } from "./support/test";

const SECRET = "e2e-turn-secret";

/** coturn on the loopback address, with the secret of the test. */
async function startTurn(port: number): Promise<ChildProcess> {
  const args = [
    "-n",
    "-v",
    "--log-file",
    "stdout",
    "--simple-log",
    "--pidfile",
    `/tmp/oxbow-turn-${port}.pid`,
  ];
  const address = [
    "--listening-ip",
    "127.0.0.1",
    "--relay-ip",
    "127.0.0.1",
    "--listening-port",
    String(port),
  ];
  const access = ["--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "oxbow"];
  const local = ["--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli"];
  const turn = spawn("turnserver", [...args, ...address, ...access, ...local], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: unknown) => {
      said += String(chunk);
      if (/UDP listener opened/i.test(said)) resolve();
    };
    turn.stdout?.on("data", read);
    turn.stderr?.on("data", read);
    turn.once("error", reject);
    turn.once("exit", (code) => reject(new Error(`turnserver ended with ${code}:\n${said}`)));
  });
  turn.removeAllListeners("exit");
  return turn;
}

/** Runs in the page. */
function onlyRelayed(): void {
  const connections: RTCPeerConnection[] = [];
  Object.assign(window, { connections });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super({ ...configuration, iceTransportPolicy: "relay" });
      connections.push(this);
    }
  } as typeof RTCPeerConnection;
}

/** The kind of our own candidate by which media goes. */
async function candidate(page: Page): Promise<string | undefined> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const standing = connections.filter((pc) => pc.connectionState === "connected");
    const all = [...((await standing[standing.length - 1]?.getStats())?.values() ?? [])];
    const pair = all.find((report) => report.type === "candidate-pair" && report.nominated);
    return all.find((report) => report.id === pair?.localCandidateId)?.candidateType as string | undefined;
  });
}

test("a broadcast and its viewers get through by a TURN server", async ({ browser }) => {
  const port = await freeMediaPort();
  const turn = await startTurn(port);
  const oxbow = await Oxbow.start({ TURN_URLS: `turn:127.0.0.1:${port}?transport=udp`, TURN_SECRET: SECRET });
  try {
    const permissions = ["camera", "microphone"];
    const streamerContext = await browser.newContext({ baseURL: oxbow.url, permissions });
    const viewerContext = await browser.newContext({ baseURL: oxbow.url, permissions: [] });
    const streamer = await streamerContext.newPage();
    const viewer = await viewerContext.newPage();
    for (const page of [streamer, viewer]) await page.addInitScript(onlyRelayed);
    await goLive(streamer);
    // The page is on air with the answer; the browser chooses its pair some milliseconds later.
    await expect.poll(() => candidate(streamer)).toBe("relay");
    await viewer.goto("/@main");
    await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
    await expect.poll(() => candidate(viewer)).toBe("relay");
    const first = await frameNumber(viewer.locator("video"));
    await expect.poll(() => frameNumber(viewer.locator("video"))).not.toBe(first);
    await endBroadcast(streamer);
    await streamerContext.close();
    await viewerContext.close();
  } finally {
    await oxbow.remove();
    const ended = once(turn, "exit");
    turn.kill("SIGTERM");
    await ended;
  }
});
