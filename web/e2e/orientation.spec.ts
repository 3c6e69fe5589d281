// A streamer whose camera lies on its side, as a phone held upright has it: Chromium says so beside the picture (video-orientation), and viewers and clips
// are upright.
import type { Page } from "@playwright/test";
import type { Clip } from "../src/api/generated/protocol";
import { expect, KEY, Oxbow, test } from "./support/test";

const WIDTH = 640;
const HEIGHT = 360;

type Streamer = Window & { turn: (degrees: number) => void; stop: () => void };

/** Publishes moving pictures by WHIP; `turn` says how they lie from then on. */
async function publish(page: Page, whip: string, codec: string): Promise<void> {
  const answer = await page.evaluate(
    async ([url, key, name, width, height]) => {
      const canvas = new OffscreenCanvas(width, height);
      const pen = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
      // Chromium's, and not in the library of types.
      const Generator = Reflect.get(window, "MediaStreamTrackGenerator") as new (
        of: object,
      ) => MediaStreamTrack & { writable: WritableStream<VideoFrame> };
      const track = new Generator({ kind: "video" });
      const writer = track.writable.getWriter();
      let rotation = 90;
      let number = 0;
      const timer = setInterval(() => {
        number += 1;
        pen.fillStyle = `hsl(${number % 360} 60% 40%)`;
        pen.fillRect(0, 0, width, height);
        pen.fillStyle = "white";
        pen.fillRect((number * 5) % width, height / 3, 40, 40);
        const init = { timestamp: performance.now() * 1000, rotation } as VideoFrameInit;
        void writer.write(new VideoFrame(canvas, init));
      }, 33);
      const connection = new RTCPeerConnection();
      const transceiver = connection.addTransceiver(track, { direction: "sendonly" });
      const all = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
      transceiver.setCodecPreferences(all.filter((one) => one.mimeType.toLowerCase() === `video/${name}`));
      const turn = (degrees: number) => {
        rotation = degrees;
      };
      const stop = () => {
        clearInterval(timer);
        connection.close();
      };
      Object.assign(window, { connection, turn, stop });
      const offer = await connection.createOffer();
      await connection.setLocalDescription(offer);
      const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/sdp" };
      const answered = await fetch(url, { method: "POST", headers, body: offer.sdp ?? "" });
      const sdp = await answered.text();
      await connection.setRemoteDescription({ type: "answer", sdp });
      return sdp;
    },
    [whip, KEY, codec, WIDTH, HEIGHT] as const,
  );
  expect(answer).toContain("urn:3gpp:video-orientation");
}

/** Width and height of the page's video as it is shown. */
async function shown(page: Page): Promise<number[]> {
  return page.locator("video").evaluate((video) => {
    const { videoWidth, videoHeight } = video as HTMLVideoElement;
    return [videoWidth, videoHeight];
  });
}

for (const codec of ["h264", "vp8"] as const) {
  test(`a camera on its side is seen upright in ${codec}, live and in the clip`, async ({ browser }) => {
    const oxbow = await Oxbow.start({ CLIP_LENGTH: "60" });
    const context = await browser.newContext({ baseURL: oxbow.url });
    try {
      const streamer = await context.newPage();
      await streamer.goto("/about");
      await publish(streamer, `${oxbow.url}/whip/main`, codec);
      const viewer = await context.newPage();
      await viewer.goto("/@main");
      await expect(viewer.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
      await expect.poll(() => shown(viewer)).toEqual([HEIGHT, WIDTH]);
      // One who comes later begins with what the server has kept.
      const late = await context.newPage();
      await late.goto("/@main");
      await expect(late.locator("[data-state=live]")).toBeVisible({ timeout: 15_000 });
      await expect.poll(() => shown(late)).toEqual([HEIGHT, WIDTH]);

      await streamer.evaluate(() => (window as unknown as Streamer).turn(0));
      await expect.poll(() => shown(viewer)).toEqual([WIDTH, HEIGHT]);
      // A file has one orientation: the turn began another clip.
      const clips = async () => {
        const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?limit=100");
        return items.filter((clip) => clip.state === "stored");
      };
      await expect.poll(async () => (await clips()).length, { timeout: 30_000 }).toBeGreaterThan(0);
      const clip = (await clips()).at(-1);
      expect([clip?.width, clip?.height]).toEqual([HEIGHT, WIDTH]);
      const player = await context.newPage();
      await player.goto("/about");
      const played = await player.evaluate(async (address) => {
        const video = document.createElement("video");
        video.muted = true;
        video.src = address;
        await new Promise((resolve, reject) => {
          video.onloadeddata = resolve;
          video.onerror = () => reject(new Error(video.error?.message));
        });
        return [video.videoWidth, video.videoHeight];
      }, clip?.media ?? "");
      expect(played).toEqual([HEIGHT, WIDTH]);
      await streamer.evaluate(() => (window as unknown as Streamer).stop());
    } finally {
      await context.close();
      await oxbow.remove();
    }
  });
}
