// A device loses its Wi-Fi in the middle of a broadcast and has another network: the same connection goes on by that.
import { type Browser, chromium, expect, type Page, test } from "@playwright/test";
import type { Live } from "../../src/api/generated/protocol";
import { CHROMIUM } from "../support/chromium";
import { Device } from "../support/networks";
import { freeMediaPort, KEY, Oxbow } from "../support/server";

/** Where scripts/network.sh puts this machine. */
const HERE = "10.77.0.1";

type Listed = { session: string; role: string; state: string };

type Seen = {
  /** When a picture was presented, in milliseconds of the page's clock. */
  pictures: number[];
  states: string[];
  answered: RTCPeerConnection[];
};

/** Runs in the page: which states and pictures it showed, and by which connections. */
function watching(): void {
  const seen: Seen = { pictures: [], states: [], answered: [] };
  Object.assign(window, { seen });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    override setRemoteDescription(answer: RTCSessionDescriptionInit): Promise<void> {
      if (!seen.answered.includes(this)) seen.answered.push(this);
      return super.setRemoteDescription(answer);
    }
  };
  const look = () => {
    const state = document.querySelector("[data-state]")?.getAttribute("data-state");
    if (state && seen.states.at(-1) !== state) seen.states.push(state);
    const video = document.querySelector("video");
    if (video && !video.dataset.followed) {
      video.dataset.followed = "yes";
      const presented = () => {
        seen.pictures.push(performance.now());
        video.requestVideoFrameCallback(presented);
      };
      video.requestVideoFrameCallback(presented);
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true });
}

const seenBy = (page: Page) =>
  page.evaluate(() => {
    const { seen } = window as unknown as { seen: Seen };
    const gaps = seen.pictures.slice(1).map((at, index) => at - (seen.pictures[index] ?? at));
    return {
      states: seen.states,
      pictures: seen.pictures.length,
      gap: Math.max(0, ...gaps),
      answered: seen.answered.length,
    };
  });

/** Forgets what was until now. */
const lookAnew = (page: Page) =>
  page.evaluate(() => {
    const { seen } = window as unknown as { seen: Seen };
    seen.pictures.splice(0, seen.pictures.length - 1);
    seen.states.splice(0, seen.states.length - 1);
  });

let oxbow: Oxbow;
let device: Device;
let away: Browser;
let home: Browser;
let url: string;

test.beforeEach(async () => {
  oxbow = await Oxbow.start({ PEER_HOST: HERE, PEER_PORT: String(await freeMediaPort()) });
  url = oxbow.url.replace("127.0.0.1", HERE);
  device = await Device.start();
  device.find("wifi");
  const secure = `--unsafely-treat-insecure-origin-as-secure=${url}`;
  const args = [...CHROMIUM.args, secure];
  away = await chromium.launch({ args, executablePath: device.program(CHROMIUM.executablePath) });
  home = await chromium.launch({ args, executablePath: CHROMIUM.executablePath });
});

test.afterEach(async () => {
  await away.close();
  await home.close();
  await device.remove();
  await oxbow.remove();
});

async function goLive(browser: Browser): Promise<Page> {
  const context = await browser.newContext({ baseURL: url, permissions: ["camera", "microphone"] });
  const page = await context.newPage();
  await page.addInitScript(watching);
  await page.goto(`/studio#key=${KEY}`);
  await page.getByRole("button", { name: "Go live" }).click();
  await expect(page.getByRole("button", { name: /^End/ })).toBeVisible({ timeout: 15_000 });
  return page;
}

async function watch(browser: Browser): Promise<Page> {
  const page = await (await browser.newContext({ baseURL: url })).newPage();
  await page.addInitScript(watching);
  await page.goto("/@main");
  await expect(page.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
  return page;
}

const onAir = async () => (await oxbow.api<{ items: Live[] }>("/api/channels")).items;

/** The media sessions that are open, by what they are. */
async function sessions(): Promise<string[]> {
  const { items } = await oxbow.api<{ items: Listed[] }>("/api/connections");
  return items.filter((one) => one.state === "connected").map((one) => `${one.role} ${one.session}`);
}

/** Waits until pictures come again after a stillness, and says how long that was. */
async function gap(viewer: Page): Promise<number> {
  await expect.poll(async () => (await seenBy(viewer)).gap, { timeout: 40_000 }).toBeGreaterThan(1_000);
  await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 30_000 });
  const { pictures } = await seenBy(viewer);
  await expect.poll(async () => (await seenBy(viewer)).pictures).toBeGreaterThan(pictures + 30);
  return Math.round((await seenBy(viewer)).gap);
}

const tell = (figure: string) => void process.stdout.write(`${figure}\n`);

function say(whose: string, ms: number, offlineMs: number): void {
  tell(`${whose} change of networks: ${ms} ms without a picture, ${offlineMs} of them without any network`);
}

test("a streamer's network is gone, then there is another: the same broadcast goes on by the same connection", async () => {
  const studio = await goLive(away);
  const viewer = await watch(home);
  const before = { live: (await onAir())[0], sessions: await sessions() };
  await lookAnew(viewer);
  const lost = Date.now();
  device.lose("wifi");
  // Viewers are told whose network it is.
  await expect(viewer.locator("[data-state=interrupted]")).toBeVisible();
  device.find("mobile");
  const offline = Date.now() - lost;
  say("a streamer's", await gap(viewer), offline);
  await expect(studio.getByText("On air", { exact: true }).first()).toBeVisible();
  expect(await onAir()).toMatchObject([
    { broadcast: before.live?.broadcast, startedAt: before.live?.startedAt, state: "live", viewers: 1 },
  ]);
  expect(await sessions()).toEqual(before.sessions);
  expect([(await seenBy(studio)).answered, (await seenBy(viewer)).answered]).toEqual([1, 1]);
});

test("a viewer's network is gone, then there is another: the same session goes on", async () => {
  const studio = await goLive(home);
  const viewer = await watch(away);
  const before = await sessions();
  await lookAnew(viewer);
  const lost = Date.now();
  device.lose("wifi");
  await expect(viewer.locator("[data-state=reconnecting]")).toBeVisible();
  device.find("mobile");
  const offline = Date.now() - lost;
  say("a viewer's", await gap(viewer), offline);
  expect((await seenBy(viewer)).states).not.toContain("interrupted");
  expect(await sessions()).toEqual(before);
  expect([(await seenBy(studio)).answered, (await seenBy(viewer)).answered]).toEqual([1, 1]);
});

test("a streamer who has both networks loses one: viewers notice nothing, and the socket goes over too", async () => {
  device.find("mobile");
  const studio = await goLive(away);
  const viewer = await watch(home);
  const before = await sessions();
  await lookAnew(viewer);
  const socket = studio.waitForEvent("websocket", { timeout: 30_000 });
  device.lose("wifi");
  // The old socket's death is noticed by its silence; what the server says arrives by the next one.
  await socket;
  await (await watch(home)).close();
  await expect(studio.getByText("1watching")).toBeVisible();
  await expect(viewer.locator("[data-state=live]")).toBeVisible();
  const seen = await seenBy(viewer);
  tell(`a streamer with two networks loses one: ${Math.round(seen.gap)} ms without a picture`);
  expect(seen.pictures).toBeGreaterThan(60);
  expect(await sessions()).toEqual(before);
  expect([(await seenBy(studio)).answered, seen.answered]).toEqual([1, 1]);
});

test("a streamer comes to a second network, then loses the first: the same connection goes over", async () => {
  const studio = await goLive(away);
  const viewer = await watch(home);
  const before = await sessions();
  device.find("mobile");
  await lookAnew(viewer);
  device.lose("wifi");
  say("a streamer's", await gap(viewer), 0);
  expect(await sessions()).toEqual(before);
  expect([(await seenBy(studio)).answered, (await seenBy(viewer)).answered]).toEqual([1, 1]);
});
