// What the lanes are drawn from: the pictures of a storyboard and the peaks of the sound. Times are of the clip, in milliseconds.
import { firstAtOrAfter, lengthOf, type Span, toPx } from "./view";

/** One small picture: where it lies on which sheet, and from when on it stands for the clip. */
export type Cue = { fromMs: number; sheet: string; x: number; y: number; width: number; height: number };

/** Reads a storyboard's WebVTT file; lines that are none of its own are passed over. `address` is where the file came from. */
export function readStoryboard(text: string, address: string): Cue[] {
  const cues: Cue[] = [];
  let fromMs: number | null = null;
  for (const line of text.split(/\r?\n/)) {
    const time = /^(?:(\d+):)?(\d{2}):(\d{2})\.(\d{3})\s+-->/.exec(line.trim());
    if (time) {
      const [, hours = "0", minutes, seconds, ms] = time;
      fromMs = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000 + Number(ms);
      continue;
    }
    const picture = /^(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(line.trim());
    if (fromMs === null || !picture?.[1]) continue;
    const [x = 0, y = 0, width = 0, height = 0] = picture.slice(2).map(Number);
    cues.push({ fromMs, sheet: new URL(picture[1], address).href, x, y, width, height });
    fromMs = null;
  }
  return cues.sort((a, b) => a.fromMs - b.fromMs);
}

/** The picture that stands for a time. */
export function cueAt(cues: readonly Cue[], clipMs: number): Cue | undefined {
  const after = firstAtOrAfter(
    cues.map((cue) => cue.fromMs),
    clipMs + 1e-3,
  );
  return cues[Math.max(0, after - 1)];
}

export type Tile = { left: number; width: number; cue: Cue };

/** Pictures side by side from the clip's start on, those that are in view, each for the time at its left edge. */
export function tiles(cues: readonly Cue[], clip: Span, view: Span, width: number, height: number): Tile[] {
  const first = cues[0];
  if (!first || width <= 0 || first.height <= 0) return [];
  const tile = Math.max(16, (height * first.width) / first.height);
  const tileMs = (tile / width) * lengthOf(view);
  const found: Tile[] = [];
  const start = Math.max(0, Math.floor((view.fromMs - clip.fromMs) / tileMs));
  for (let n = start; clip.fromMs + n * tileMs < Math.min(view.toMs, clip.toMs); n += 1) {
    const cue = cueAt(cues, n * tileMs);
    const left = toPx(clip.fromMs + n * tileMs, view, width);
    const end = toPx(clip.toMs, view, width);
    if (cue) found.push({ left, width: Math.min(tile, end - left), cue });
  }
  return found;
}

/** Loudest samples, 0 to 1, of equal stretches of the clip's sound. */
export type Peaks = { peaks: readonly number[]; stepMs: number };

/** What a waveform file says, as the louder side of the loudest channel. Null for a file that says nothing. */
export function readWaveform(wave: {
  channels: number;
  sample_rate: number;
  samples_per_pixel: number;
  bits: number;
  data: readonly number[];
}): Peaks | null {
  const values = wave.channels * 2;
  const full = 2 ** (wave.bits - 1);
  const stepMs = (wave.samples_per_pixel / wave.sample_rate) * 1_000;
  if (!(values > 0) || !(stepMs > 0) || !Number.isFinite(stepMs) || !(full >= 1)) return null;
  const peaks = Array.from({ length: Math.floor(wave.data.length / values) }, (_, pixel) => {
    const samples = wave.data.slice(pixel * values, (pixel + 1) * values);
    return Math.min(1, Math.max(...samples.map(Math.abs)) / full);
  });
  return { peaks, stepMs };
}

/** The loudest sample under each column of `columnPx`; null where the clip has no sound. */
export function columns(
  { peaks, stepMs }: Peaks,
  clip: Span,
  view: Span,
  width: number,
  columnPx = 2,
): (number | null)[] {
  const count = Math.ceil(width / columnPx);
  const perColumn = (lengthOf(view) / Math.max(1, width)) * columnPx;
  return Array.from({ length: count }, (_, column) => {
    const ms = view.fromMs + column * perColumn - clip.fromMs;
    const from = Math.floor(ms / stepMs);
    const to = Math.max(from + 1, Math.ceil((ms + perColumn) / stepMs));
    if (to <= 0 || from >= peaks.length) return null;
    let most = 0;
    for (let n = Math.max(0, from); n < Math.min(to, peaks.length); n += 1)
      most = Math.max(most, peaks[n] ?? 0);
    return most;
  });
}

/** The outline of a waveform around its middle, as an SVG path. */
export function wavePath(loudest: readonly (number | null)[], height: number, columnPx = 2): string {
  const middle = height / 2;
  let path = "";
  loudest.forEach((peak, column) => {
    if (peak === null) return;
    const half = Math.max(0.5, peak * (middle - 1));
    path += `M${column * columnPx + 0.5} ${(middle - half).toFixed(1)}v${(half * 2).toFixed(1)}`;
  });
  return path;
}
