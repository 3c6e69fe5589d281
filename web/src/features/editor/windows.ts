// The recording around a clip, as short files that the server makes when they are asked for. No DOM.
import { firstAtOrAfter, type Span } from "./view";

/** What the picture is played from: a file whose time 0 is `span.fromMs` of the broadcast. */
export type Source = { url: string; span: Span };

/** What is kept around a clip, and where its keyframes are, in milliseconds of the broadcast. */
export type Reach = { broadcast: string; all: Span; keyframesMs: readonly number[] };

/** Files lie on a grid, so that who drags a handle asks for the same one again and again. */
const GRID_MS = 20_000;
/** Files overlap by so much, so that what begins at the end of one plays on for a moment. */
const OVERLAP_MS = 2_000;

/** The file that holds a moment. */
export function windowAt(ms: number, { broadcast, all, keyframesMs }: Reach): Source {
  const cell = Math.floor(ms / GRID_MS);
  const fromMs = Math.max(all.fromMs, cell * GRID_MS);
  const toMs = Math.max(fromMs + 1, Math.min(all.toMs, (cell + 1) * GRID_MS + OVERLAP_MS));
  // A file that begins with a keyframe is copied, and its time 0 is that keyframe.
  const key = keyframesMs[firstAtOrAfter(keyframesMs, fromMs + 1) - 1];
  const base = `/api/broadcasts/${broadcast}/media`;
  return key === undefined
    ? {
        url: `${base}?from=${Math.floor(fromMs)}&to=${Math.ceil(toMs)}&precision=exact`,
        span: { fromMs, toMs },
      }
    : { url: `${base}?from=${Math.ceil(key)}&to=${Math.ceil(toMs)}`, span: { fromMs: key, toMs } };
}
