// How Debian's Chromium is started: numbered pictures for a camera, a tone for a microphone, and no questions.
import { CAPTURE } from "./capture";

/** With the browser's own test picture, which comes in any size; the numbered one is small. */
export const PLAIN_CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    // A machine may have no network but the loopback.
    "--allow-loopback-in-peer-connection",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
  ],
};

export const CHROMIUM = {
  ...PLAIN_CHROMIUM,
  args: [
    ...PLAIN_CHROMIUM.args,
    `--use-file-for-fake-video-capture=${CAPTURE.video}`,
    `--use-file-for-fake-audio-capture=${CAPTURE.audio}`,
  ],
};
