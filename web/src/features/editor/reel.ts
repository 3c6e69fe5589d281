// Which file the editor's <video> shows a moment from: the clip's own, or one of the recording around it, which is fetched when it is wanted.
import { clamp, type Span } from "./view";
import { type Reach, type Source, windowAt } from "./windows";

/** Another file is asked for when nobody has wanted yet another for so long. */
const REST_MS = 150;
/** What could not be loaded is asked for again. */
const NOTHING: Source = { url: "", span: { fromMs: 0, toMs: Number.NEGATIVE_INFINITY } };

export type Beyond = "loading" | "failed" | null;

export class Reel {
  /** How far there is a recording around the clip; null where nobody knows. */
  reach: Reach | null = null;
  #video: HTMLVideoElement | null = null;
  #hold: () => void = () => {};
  #own: Source;
  /** What plays, or is loaded. */
  #source: Source;
  /** Where to be in a file that is not there yet. */
  #wanted: number | null = null;
  #loading = false;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #tell: (beyond: Beyond) => void;

  constructor(clip: Span, media: string, tell: (beyond: Beyond) => void) {
    this.#own = { url: media, span: clip };
    this.#source = this.#own;
    this.#tell = tell;
  }

  /** `hold` keeps the picture that is on the screen until another is there. */
  attach(video: HTMLVideoElement, hold: () => void): void {
    this.#video = video;
    this.#hold = hold;
  }

  detach(): void {
    clearTimeout(this.#rest);
    this.#video = null;
  }

  get all(): Span {
    return this.reach?.all ?? this.#own.span;
  }

  /** What of the broadcast the present file holds. */
  get span(): Span {
    return this.#source.span;
  }

  get isOwn(): boolean {
    return this.#source === this.#own;
  }

  /** What is on the screen is of the file before. */
  get waits(): boolean {
    return this.#wanted !== null;
  }

  /** Shows a moment, or the nearest that there is; which one. */
  show(ms: number, frameMs: number): number {
    const half = frameMs / 2;
    const inside = (span: Span, at: number) => at >= span.fromMs && at < span.toMs + half;
    // Who asks for the very end of a file sees its last picture.
    const within = (span: Span, at: number) => clamp(at, span.fromMs, span.toMs - half);
    const clip = this.#own.span;
    const place = inside(clip, ms) ? within(clip, ms) : within(this.all, ms);
    if (inside(clip, place)) this.#place(this.#own, place);
    else if (inside(this.span, place)) this.#place(this.#source, within(this.span, place));
    else if (this.reach) this.#place(windowAt(place, this.reach), place);
    return place;
  }

  /** The file has come; false when it is not the one that is waited for. */
  loaded(): boolean {
    if (!this.#video || !this.#loading || this.#wanted === null) return false;
    this.#video.currentTime = (this.#wanted - this.span.fromMs) / 1_000;
    this.#wanted = null;
    this.#loading = false;
    this.#tell(null);
    return true;
  }

  /** The file cannot be had; true when it is the clip's own. */
  failed(): boolean {
    this.#loading = false;
    if (this.isOwn) return true;
    this.#source = NOTHING;
    this.#wanted = null;
    this.#tell("failed");
    return false;
  }

  #place(source: Source, place: number): void {
    clearTimeout(this.#rest);
    if (source.url === this.#source.url) {
      this.#wanted = this.#loading ? place : null;
      if (this.#loading) return;
      this.#tell(null);
      if (this.#video) this.#video.currentTime = (place - source.span.fromMs) / 1_000;
      return;
    }
    // What is at hand comes at once; what has to be made waits for the hand to rest.
    if (source === this.#own) return this.#load(source, place);
    this.#wanted = place;
    this.#tell("loading");
    this.#rest = setTimeout(() => this.#load(source, place), REST_MS);
  }

  #load(source: Source, place: number): void {
    if (!this.#video) return;
    this.#hold();
    this.#source = source;
    this.#wanted = place;
    this.#loading = true;
    this.#tell(this.isOwn ? null : "loading");
    this.#video.removeAttribute("poster");
    this.#video.src = source.url;
  }
}
