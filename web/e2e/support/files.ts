// Files of every kind that the server's own MP4 writer makes, and what a browser that plays one must show.
import { expect } from "@playwright/test";
import type { Clip, NewClip } from "../../src/api/generated/protocol";
import { type Picture, picturesOf } from "./decode";
import { shownNumber, shownNumbers } from "./number";
import type { Oxbow } from "./server";

/** Publishers send so many pictures a second. */
export const FPS = 30;
const SECONDS = 11;

export const FILES = [
  { name: "H.264 and Opus, as recorded", codec: "h264", sound: "opus" },
  { name: "H.264 and AAC", codec: "h264", sound: "aac", format: "compatible" },
  { name: "H.264 and Opus, cut to the picture", codec: "h264", sound: "opus", pieces: [[2_345, 7_891]] },
  {
    name: "H.264 and AAC, cut and merged",
    codec: "h264",
    sound: "aac",
    format: "compatible",
    pieces: [
      [6_210, 9_470],
      [1_130, 3_950],
    ],
  },
  { name: "VP9, as recorded", codec: "vp9", sound: "opus" },
  {
    name: "VP9, cut and merged",
    codec: "vp9",
    sound: "opus",
    pieces: [
      [1_130, 3_950],
      [6_210, 9_470],
    ],
  },
  { name: "AV1, as recorded", codec: "av1", sound: "opus" },
  { name: "AV1, cut to the picture", codec: "av1", sound: "opus", pieces: [[2_345, 7_891]] },
] as const;

export type Wanted = (typeof FILES)[number];

/** Publishes one broadcast in each codec. */
export async function publishAll(oxbow: Oxbow): Promise<void> {
  for (const codec of ["h264", "vp9", "av1"]) await oxbow.publish(codec, codec, SECONDS);
}

export type File = { clip: Clip; pictures: Picture[] };

/** Makes the file, and takes it apart with ffmpeg. */
export async function make(oxbow: Oxbow, wanted: Wanted): Promise<File> {
  const { codec, sound } = wanted;
  const [first] = (await oxbow.api<{ items: Clip[] }>(`/api/clips?channel=${codec}&kind=part`)).items;
  if (!first) throw new Error(`nothing was recorded in ${codec}`);
  const { broadcast } = first;
  const pieces = "pieces" in wanted ? wanted.pieces : [[0, (SECONDS - 1) * 1_000] as const];
  const recipe: NewClip = {
    title: wanted.name,
    visibility: "published",
    precision: "exact",
    format: "format" in wanted ? wanted.format : "original",
    pieces: pieces.map(([fromMs, toMs]) => ({ broadcast, fromMs, toMs })),
  };
  let clip = await oxbow.api<Clip>("/api/clips", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(recipe),
  });
  const state = async () => {
    clip = await oxbow.api<Clip>(`/api/clips/${clip.id}`);
    return clip.state;
  };
  await expect.poll(state, { timeout: 60_000 }).not.toMatch(/exporting|queued|uploading|verified/);
  expect(clip.error).toBeNull();
  expect({ video: clip.video, audio: clip.audio }).toEqual({ video: codec, audio: sound });
  const answer = await fetch(`${oxbow.url}${clip.media}`);
  expect(answer.headers.get("content-type")).toBe("video/mp4");
  const pictures = await picturesOf(new Uint8Array(await answer.arrayBuffer()));
  const asked = pieces.reduce((sum, [from, to]) => sum + to - from, 0);
  expect(Math.abs(clip.durationMs - asked), "milliseconds from what was asked for").toBeLessThan(150);
  expect(pictures.length).toBeGreaterThan((asked / 1_000) * FPS * 0.8);
  return { clip, pictures };
}

/** Places all over the file, out of order: the number and the time of the picture that is to be seen there. */
function places(file: File): Picture[] {
  return [0.5, 0.1, 0.93, 0, 0.34, 0.999, 0.71].map((part) => {
    const picture = file.pictures[Math.floor(part * file.pictures.length)];
    if (!picture) throw new Error("no picture there");
    return picture;
  });
}

/** Runs a function on the page's <video>, in whatever browser. */
export type Run = <A, R>(task: (video: Element, argument: A) => R | Promise<R>, argument: A) => Promise<R>;

export type Played = {
  duration: number;
  width: number;
  /** Bytes of sound that were decoded; null where the browser does not tell. */
  soundBytes: number | null;
  hasSound: boolean;
  /** Seconds that the clock went on while it played. */
  went: number;
  /** Numbers of the pictures that were shown meanwhile. */
  shown: (number | null)[];
  sought: { mediaTime: number; number: number | null }[];
};

/** Plays for two seconds, then seeks to places all over the file. */
export async function play(run: Run, file: File, muted: boolean): Promise<Played> {
  const began = await run(start, { address: file.clip.media, muted });
  const shown = await run(shownNumbers, 2_000);
  const told = await run(stop, null);
  const sought: Played["sought"] = [];
  // Times are whole microseconds in a player: a little into the picture, not on its border.
  for (const { at } of places(file)) {
    sought.push({ mediaTime: await run(seek, at + 0.005), number: await run(shownNumber, null) });
  }
  return { ...told, went: told.at - began, shown, sought };
}

/** An empty page with nothing but a <video> on it. */
export function onlyVideo(): void {
  document.body.replaceChildren(document.createElement("video"));
}

/** Seconds at which it began to play. */
async function start(
  element: Element,
  { address, muted }: { address: string; muted: boolean },
): Promise<number> {
  const video = element as HTMLVideoElement;
  Object.assign(video, { muted, preload: "auto", src: address });
  await video.play();
  return video.currentTime;
}

function stop(element: Element) {
  type Told = HTMLVideoElement & { webkitAudioDecodedByteCount?: number; mozHasAudio?: boolean };
  const video = element as Told;
  video.pause();
  const { currentTime: at, duration, videoWidth: width } = video;
  const soundBytes = video.webkitAudioDecodedByteCount ?? null;
  return { at, duration, width, soundBytes, hasSound: (soundBytes ?? 0) > 0 || video.mozHasAudio === true };
}

/** When the picture that is seen there begins, by the player. */
function seek(element: Element, time: number): Promise<number> {
  const video = element as HTMLVideoElement;
  return new Promise((resolve, reject) => {
    video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime));
    setTimeout(() => reject(new Error(`no picture at ${time}`)), 10_000);
    video.currentTime = time;
  });
}

/** That what a browser did with the file is right, to the picture. */
export function expectPlayed(file: File, played: Played): void {
  const { clip, pictures } = file;
  expect(Math.abs(played.duration * 1_000 - clip.durationMs), "milliseconds of length").toBeLessThan(60);
  expect(played.width).toBe(clip.width);
  expect(played.went, "seconds in two of them").toBeGreaterThan(1.2);
  expect(played.hasSound).toBe(true);
  const order = new Map(pictures.map(({ number }, place) => [number, place]));
  const shown = played.shown.map((number) => order.get(number) ?? -1);
  expect(Math.min(...shown), `every picture is one of the file: ${played.shown}`).toBeGreaterThanOrEqual(0);
  expect(shown, "none comes twice or late").toEqual(shown.toSorted((a, b) => a - b));
  expect(new Set(shown).size, "different ones").toBeGreaterThan(10);
  expect(played.sought.map(({ number }) => number)).toEqual(places(file).map(({ number }) => number));
  for (const [n, { at }] of places(file).entries()) {
    expect(Math.abs((played.sought[n]?.mediaTime ?? -1) - at), `seconds, place ${n}`).toBeLessThan(1 / FPS);
  }
}
