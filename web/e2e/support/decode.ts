// Decodes a clip with ffmpeg and reads the number of every picture in it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { bitsOf } from "./capture";

const WIDTH = 640;
const HEIGHT = 360;
const BLOCKS = 24;

/** Numbers in the order in which a player shows them; null where a picture carries none that can be read. */
export async function clipNumbers(media: Uint8Array): Promise<(number | null)[]> {
  const args = ["-v", "error", "-i", "-", "-an", "-fps_mode", "passthrough"];
  // Pictures closer together than the nominal rate keep times of their own.
  args.push("-enc_time_base", "1:90000");
  args.push("-vf", `scale=${WIDTH}:${HEIGHT},format=gray`, "-f", "rawvideo", "-");
  const ffmpeg = spawn("ffmpeg", args, { stdio: ["pipe", "pipe", "pipe"] });
  const said: Buffer[] = [];
  const raw: Buffer[] = [];
  ffmpeg.stderr.on("data", (chunk: Buffer) => said.push(chunk));
  ffmpeg.stdout.on("data", (chunk: Buffer) => raw.push(chunk));
  ffmpeg.stdin.end(media);
  const [code] = await once(ffmpeg, "close");
  const complaints = Buffer.concat(said).toString();
  if (code !== 0 || complaints) throw new Error(`ffmpeg ended with ${code}: ${complaints}`);
  const pictures = Buffer.concat(raw);
  const size = WIDTH * HEIGHT;
  return Array.from({ length: pictures.length / size }, (_, i) => read(pictures.subarray(i * size)));
}

/** Its number, and when it is shown in seconds of the file. */
export type Picture = { number: number | null; at: number };

/** All pictures that a player shows, in order. */
export async function picturesOf(media: Uint8Array): Promise<Picture[]> {
  const args = ["-v", "error", "-i", "-", "-an", "-fps_mode", "passthrough", "-copyts"];
  args.push("-enc_time_base", "1:90000", "-c:v", "rawvideo", "-f", "framecrc", "-");
  const ffmpeg = spawn("ffmpeg", args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines: Buffer[] = [];
  ffmpeg.stdout.on("data", (chunk: Buffer) => lines.push(chunk));
  ffmpeg.stdin.end(media);
  const [[code], numbers] = await Promise.all([once(ffmpeg, "close"), clipNumbers(media)]);
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  const times = Buffer.concat(lines)
    .toString()
    .split("\n")
    .filter((line) => /^\d/.test(line))
    .map((line) => Number(line.split(",")[2]) / 90_000);
  if (times.length !== numbers.length) throw new Error(`${times.length} times of ${numbers.length} pictures`);
  return numbers.map((number, n) => ({ number, at: times[n] ?? 0 }));
}

/** Seconds of the file. */
export type Stretch = { from: number; to: number };

/** Where ffmpeg finds pictures that are black, none for a while, and sound that says nothing, for a second or longer. */
export async function flawsOf(media: Uint8Array): Promise<Record<"black" | "held" | "silent", Stretch[]>> {
  const args = ["-nostats", "-i", "-", "-vf", "blackdetect=d=1"];
  args.push("-af", "silencedetect=noise=-60dB:d=1", "-f", "null", "-");
  const ffmpeg = spawn("ffmpeg", args, { stdio: ["pipe", "ignore", "pipe"] });
  const said: Buffer[] = [];
  ffmpeg.stderr.on("data", (chunk: Buffer) => said.push(chunk));
  ffmpeg.stdin.end(media);
  const [[code], pictures] = await Promise.all([once(ffmpeg, "close"), picturesOf(media)]);
  const text = Buffer.concat(said).toString();
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}: ${text}`);
  const times = (name: string) =>
    [...text.matchAll(new RegExp(`${name}: ?([0-9.]+)`, "g"))].map((match) => Number(match[1]));
  const between = (kind: string) => {
    const ends = times(`${kind}_end`);
    return times(`${kind}_start`).map((from, n) => ({ from, to: ends[n] ?? Number.POSITIVE_INFINITY }));
  };
  const steps = pictures.map(({ at }, n) => ({ from: at, to: pictures[n + 1]?.at ?? at }));
  const held = steps.filter(({ from, to }) => to - from > 1);
  return { black: between("black"), held, silent: between("silence") };
}

function read(luma: Buffer): number | null {
  const strip = HEIGHT / 12;
  let bits = 0;
  for (let block = 0; block < BLOCKS; block += 1) {
    const from = Math.floor(((block + 0.25) * WIDTH) / BLOCKS);
    const to = Math.floor(((block + 0.75) * WIDTH) / BLOCKS);
    let sum = 0;
    for (let y = strip / 4; y < strip - strip / 4; y += 1) {
      for (let x = from; x < to; x += 1) sum += luma[Math.floor(y) * WIDTH + x] ?? 0;
    }
    const mean = sum / ((to - from) * Math.ceil(strip / 2));
    if (mean >= 95 && mean <= 155) return null;
    bits = bits * 2 + (mean > 155 ? 1 : 0);
  }
  return bitsOf(bits >>> 4) === bits ? bits >>> 4 : null;
}
