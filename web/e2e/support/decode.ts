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
