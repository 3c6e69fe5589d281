// Makes the camera and microphone files once; later runs find them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { CAPTURE, pictureOf } from "./capture";

export default async function setup(): Promise<void> {
  mkdirSync(dirname(CAPTURE.video), { recursive: true });
  if (!existsSync(CAPTURE.audio)) writeFileSync(CAPTURE.audio, voice(CAPTURE.seconds));
  if (!existsSync(CAPTURE.video)) await pictures();
}

async function pictures(): Promise<void> {
  const { width, height, fps, seconds, video } = CAPTURE;
  const half = `${video}.part`;
  const args = ["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${width}x${height}`];
  args.push("-r", String(fps), "-i", "-", "-pix_fmt", "yuvj420p", "-q:v", "4", "-f", "mjpeg", half);
  const ffmpeg = spawn("ffmpeg", args, { stdio: ["pipe", "inherit", "inherit"] });
  const ended = once(ffmpeg, "close");
  for (let number = 0; number < fps * seconds; number += 1) {
    if (!ffmpeg.stdin.write(pictureOf(number, width, height))) await once(ffmpeg.stdin, "drain");
  }
  ffmpeg.stdin.end();
  const [code] = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  renameSync(half, video);
}

/**
 * 48 kHz, 16 bit, mono: four syllables a second that rise and fall. A steady tone would be taken for noise and suppressed.
 */
function voice(seconds: number): Buffer {
  const rate = 48_000;
  const samples = rate * seconds;
  const wav = Buffer.alloc(44 + samples * 2);
  wav.write("RIFF", 0);
  wav.writeUInt32LE(36 + samples * 2, 4);
  wav.write("WAVEfmt ", 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(rate * 2, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write("data", 36);
  wav.writeUInt32LE(samples * 2, 40);
  const pitches = [220, 262, 330, 294, 392, 330];
  for (let i = 0; i < samples; i += 1) {
    const at = i / rate;
    const syllable = Math.floor(at * 4);
    const pitch = pitches[syllable % pitches.length] ?? 220;
    const envelope = Math.max(0, Math.sin(Math.PI * Math.min(1, ((at * 4) % 1) / 0.7))) ** 2;
    const phase = 2 * Math.PI * pitch * at;
    const voice = Math.sin(phase) + 0.5 * Math.sin(2 * phase) + 0.25 * Math.sin(3 * phase);
    wav.writeInt16LE(Math.round(9_000 * envelope * voice), 44 + i * 2);
  }
  return wav;
}
