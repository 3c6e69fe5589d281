import { expect, it } from "vitest";
import { columns, cueAt, readStoryboard, readWaveform, tiles, wavePath } from "./strips";

const VTT = `WEBVTT

NOTE made by oxbow

00:00.000 --> 00:02.000
storyboard/0.jpg#xywh=0,0,160,90

1
00:00:02.000 --> 00:00:04.000
storyboard/0.jpg#xywh=160,0,160,90

01:00:04.500 --> 01:00:06.000
storyboard/1.jpg#xywh=0,90,160,90
`;

it("a storyboard is read with the addresses of its sheets", () => {
  const cues = readStoryboard(VTT, "https://oxbow.example/api/clips/x/storyboard.vtt");
  expect(cues.map((cue) => [cue.fromMs, cue.x, cue.y])).toEqual([
    [0, 0, 0],
    [2_000, 160, 0],
    [3_604_500, 0, 90],
  ]);
  expect(cues[2]?.sheet).toBe("https://oxbow.example/api/clips/x/storyboard/1.jpg");
  expect(cueAt(cues, 1_999)?.x).toBe(0);
  expect(cueAt(cues, 2_000)?.x).toBe(160);
  expect(cueAt([], 5)).toBeUndefined();
  expect(readStoryboard("<html>", "https://oxbow.example/")).toEqual([]);
});

it("pictures cover the clip and nothing beside it", () => {
  const cues = readStoryboard(VTT, "https://oxbow.example/api/clips/x/storyboard.vtt");
  const clip = { fromMs: 10_000, toMs: 14_000 };
  const found = tiles(cues, clip, { fromMs: 8_000, toMs: 18_000 }, 1_000, 45);
  expect(found.map((tile) => [tile.left, tile.width])).toEqual([
    [200, 80],
    [280, 80],
    [360, 80],
    [440, 80],
    [520, 80],
  ]);
  expect(found.map((tile) => tile.cue.x)).toEqual([0, 0, 0, 160, 160]);
  // They move along with the clip, and only those in view are there.
  expect(
    tiles(cues, clip, { fromMs: 10_100, toMs: 11_100 }, 1_000, 45).map((tile) => tile.left)[0],
  ).toBeCloseTo(-20);
});

it("a column shows the loudest of what it covers", () => {
  const peaks = { peaks: [0.1, 0.9, 0.2, 0.4], stepMs: 10 };
  const clip = { fromMs: 1_000, toMs: 1_040 };
  expect(columns(peaks, clip, { fromMs: 1_000, toMs: 1_040 }, 4)).toEqual([0.9, 0.4]);
  expect(columns(peaks, clip, { fromMs: 980, toMs: 1_060 }, 8)).toEqual([null, 0.9, 0.4, null]);
  // Closer than the peaks are: each stands for several columns.
  expect(columns(peaks, clip, { fromMs: 1_010, toMs: 1_020 }, 8)).toEqual([0.9, 0.9, 0.9, 0.9]);
  expect(wavePath([null, 1, 0], 20)).toBe("M2.5 1.0v18.0M4.5 9.5v1.0");
});

it("a waveform is the louder side of the loudest channel", () => {
  const wave = { channels: 2, sample_rate: 48_000, samples_per_pixel: 480, bits: 8 };
  const data = [-64, 10, -1, 2, 0, 0, -128, 127, 5, 5];
  expect(readWaveform({ ...wave, data })).toEqual({ peaks: [0.5, 1], stepMs: 10 });
  expect(readWaveform({ ...wave, sample_rate: 0, data })).toBeNull();
  expect(readWaveform({ ...wave, channels: 0, data })).toBeNull();
});
