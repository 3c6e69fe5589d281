// What Chromium takes for a camera and a microphone. The pictures carry the number that pipeline/src/number.rs describes.
import { fileURLToPath } from "node:url";

const at = (name: string) => fileURLToPath(new URL(`../.cache/${name}`, import.meta.url));

/** Part of the file names: change it with the format. */
const VERSION = 1;

export const CAPTURE = {
  video: at(`numbers-${VERSION}.mjpeg`),
  audio: at(`tone-${VERSION}.wav`),
  width: 640,
  height: 360,
  /** What Chromium assumes of an .mjpeg file. */
  fps: 30,
  /** After this it begins again at 0. */
  seconds: 120,
} as const;

const BLOCKS = 24;

/** The 24 bits of a strip, block 0 in bit 23. */
export function bitsOf(number: number): number {
  const n = [16, 12, 8, 4, 0].map((shift) => (number >>> shift) & 15);
  const checksum = n.reduce((sum, nibble, i) => sum + nibble * ([3, 5, 7, 11, 13][i] ?? 0), 9) % 16;
  return (number << 4) | checksum;
}

/** One luma plane: the strip in the top twelfth, a bar that wanders below it. */
export function lumaOf(number: number, width: number, height: number): Buffer {
  const plane = Buffer.alloc(width * height, 96);
  const bits = bitsOf(number);
  const strip = Math.floor(height / 12);
  for (let block = 0; block < BLOCKS; block += 1) {
    const value = (bits >>> (BLOCKS - 1 - block)) & 1 ? 235 : 16;
    const from = Math.floor((block * width) / BLOCKS);
    const to = Math.floor(((block + 1) * width) / BLOCKS);
    for (let line = 0; line < strip; line += 1) plane.fill(value, line * width + from, line * width + to);
  }
  const bar = (number * 4) % (width - 48);
  for (let line = strip * 3; line < height - strip; line += 1) {
    plane.fill(60 + (line * 160) / height, line * width + bar, line * width + bar + 48);
  }
  return plane;
}
