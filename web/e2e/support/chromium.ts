// How Debian's Chromium is started: numbered pictures for a camera, a tone for a microphone, and no questions.
import { CAPTURE } from "./capture";

export const CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    // A machine may have no network but the loopback.
    "--allow-loopback-in-peer-connection",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${CAPTURE.video}`,
    `--use-file-for-fake-audio-capture=${CAPTURE.audio}`,
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
  ],
};
