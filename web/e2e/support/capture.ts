// What Chromium takes for a camera and a microphone. The pictures carry the number that pipeline/src/number.rs describes, over a
// landscape that moves, so that a person sees at a glance whether the picture is right as well.
import { fileURLToPath } from "node:url";

const at = (name: string) => fileURLToPath(new URL(`../.cache/${name}`, import.meta.url));

/** Part of the file names: change it with the pictures. */
const VERSION = 2;

export const CAPTURE = {
  video: at(`numbers-${VERSION}.mjpeg`),
  audio: at(`voice-${VERSION}.wav`),
  width: 640,
  height: 360,
  /** What Chromium assumes of an .mjpeg file. */
  fps: 30,
  /** After this it begins again at 0. */
  seconds: 90,
} as const;

const BLOCKS = 24;

/** The 24 bits of a strip, block 0 in bit 23. */
export function bitsOf(number: number): number {
  const n = [16, 12, 8, 4, 0].map((shift) => (number >>> shift) & 15);
  const checksum = n.reduce((sum, nibble, i) => sum + nibble * ([3, 5, 7, 11, 13][i] ?? 0), 9) % 16;
  return (number << 4) | checksum;
}

type Colour = readonly [number, number, number];

const SKY_HIGH: Colour = [38, 84, 102];
const SKY_LOW: Colour = [240, 196, 148];
const SUN: Colour = [255, 226, 170];
const HILLS: readonly { colour: Colour; base: number; height: number; wave: number; speed: number }[] = [
  { colour: [112, 138, 140], base: 0.56, height: 0.06, wave: 150, speed: 0.25 },
  { colour: [62, 104, 100], base: 0.66, height: 0.07, wave: 110, speed: 0.6 },
  { colour: [30, 68, 62], base: 0.78, height: 0.05, wave: 190, speed: 1.2 },
];
const WATER: Colour = [24, 92, 104];
const GLINT: Colour = [150, 205, 200];

/** One picture, three bytes a pixel: the strip in the top twelfth, the landscape below it. */
export function pictureOf(number: number, width: number, height: number): Buffer {
  const picture = Buffer.alloc(width * height * 3);
  landscape(picture, number, width, height);
  strip(picture, number, width, height);
  return picture;
}

function landscape(picture: Buffer, number: number, width: number, height: number): void {
  const tops = HILLS.map((hill) =>
    Float64Array.from({ length: width }, (_, x) => {
      const phase = (x + number * hill.speed) / hill.wave;
      return height * (hill.base - hill.height * (Math.sin(phase) + 0.5 * Math.sin(phase * 2.3 + 1)));
    }),
  );
  const sunX = width * 0.68;
  const sunY = height * (0.4 + 0.04 * Math.sin(number / 200));
  const radius = height * 0.085;
  const shore = height * 0.86;
  for (let y = 0; y < height; y += 1) {
    const mix = Math.min(1, y / (height * 0.6));
    const sky = SKY_HIGH.map((from, i) => from + ((SKY_LOW[i] ?? 0) - from) * mix) as unknown as Colour;
    for (let x = 0; x < width; x += 1) {
      let colour = (x - sunX) ** 2 + (y - sunY) ** 2 < radius ** 2 ? SUN : sky;
      for (let i = 0; i < HILLS.length; i += 1) {
        if (y > (tops[i]?.[x] ?? height)) colour = HILLS[i]?.colour ?? colour;
      }
      if (y > shore + 4 * Math.sin((x + number) / 60)) {
        colour =
          (y * 7 + Math.round(x + number * 2 + 9 * Math.sin(y))) % 97 < 16 && y % 5 < 2 ? GLINT : WATER;
      }
      const place = (y * width + x) * 3;
      picture[place] = colour[0];
      picture[place + 1] = colour[1];
      picture[place + 2] = colour[2];
    }
  }
}

function strip(picture: Buffer, number: number, width: number, height: number): void {
  const bits = bitsOf(number);
  for (let line = 0; line < Math.floor(height / 12); line += 1) {
    for (let block = 0; block < BLOCKS; block += 1) {
      const from = (line * width + Math.floor((block * width) / BLOCKS)) * 3;
      const to = (line * width + Math.floor(((block + 1) * width) / BLOCKS)) * 3;
      picture.fill((bits >>> (BLOCKS - 1 - block)) & 1 ? 255 : 0, from, to);
    }
  }
}
