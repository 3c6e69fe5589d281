// Debian's Firefox over WebDriver BiDi, with numbered pictures for a camera.
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import type { VideoCodec } from "../../src/rtc/link";
import { shownNumbers } from "./number";
import { KEY } from "./server";

/** A Firefox that asks nobody about cameras and starts sound by itself. */
export function launchFirefox(): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    headless: true,
    protocolTimeout: 60_000,
    defaultViewport: { width: 1280, height: 800 },
    extraPrefsFirefox: {
      "media.navigator.permission.disabled": true,
      "media.navigator.streams.fake": true,
      "media.autoplay.default": 0,
      "media.autoplay.blocking_policy": 0,
    },
  });
}

type Studio = {
  codec?: VideoCodec;
  /** A canvas that shows 30 numbered pictures a second, or Firefox's own test picture, in the size that the studio asks for. */
  camera?: "numbered" | "large";
};

/** The studio, from its link to on air. */
export async function goLiveInFirefox(
  page: Page,
  url: string,
  { codec, camera = "numbered" }: Studio = {},
): Promise<void> {
  if (camera === "numbered") await page.evaluateOnNewDocument(numberedCamera);
  if (codec) {
    await page.evaluateOnNewDocument((chosen) => localStorage.setItem("oxbow.codec", chosen), codec);
  }
  await page.goto(`${url}/studio#key=${KEY}`);
  await page.locator("button::-p-text(Go live)").click();
  await page.locator("button::-p-text(End)").setTimeout(30_000).wait();
}

export async function endInFirefox(page: Page): Promise<void> {
  await page.locator("button::-p-text(End)").click();
  await page.locator("[role=dialog] button::-p-text(End broadcast)").click();
  await page.locator("::-p-text(The broadcast is over)").wait();
}

/** Numbers of the pictures that the page's video shows, for a while. Unreadable ones are null. */
export function frameNumbersInFirefox(page: Page, forMs: number): Promise<(number | null)[]> {
  return page.$eval("video", shownNumbers, forMs);
}

/** Runs in the page before anything else: its sound is Firefox's fake tone, its pictures are ours (pipeline/src/number.rs). */
function numberedCamera(): void {
  const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let stream: MediaStream | null = null;
  const camera = (): MediaStream => {
    const canvas = document.createElement("canvas");
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext("2d");
    let number = 0;
    const draw = () => {
      if (!context) return;
      const nibbles = [16, 12, 8, 4, 0].map((shift) => (number >>> shift) & 15);
      const checksum = nibbles.reduce((sum, n, i) => sum + n * ([3, 5, 7, 11, 13][i] ?? 0), 9) % 16;
      const bits = (number << 4) | checksum;
      context.fillStyle = `hsl(${number % 360} 60% 50%)`;
      context.fillRect(0, 30, 640, 330);
      for (let block = 0; block < 24; block += 1) {
        context.fillStyle = (bits >>> (23 - block)) & 1 ? "#fff" : "#000";
        context.fillRect((block * 640) / 24, 0, 640 / 24 + 1, 30);
      }
      number += 1;
    };
    draw();
    setInterval(draw, 1000 / 30);
    return canvas.captureStream(30);
  };
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const wanted = await original(constraints);
    if (!constraints?.video) return wanted;
    for (const track of wanted.getVideoTracks()) {
      wanted.removeTrack(track);
      track.stop();
    }
    stream ??= camera();
    for (const track of stream.clone().getVideoTracks()) wanted.addTrack(track);
    return wanted;
  };
}
