// Plays what was recorded of a broadcast, from any moment of it, in the same <video> that shows the live. The library for HLS comes when it is needed.
//
// Moments are UTC milliseconds on the server's clock, as the playlist dates them. What is shown of it does not belong here.
import type Hls from "hls.js";
import type { Fragment, LevelDetails } from "hls.js";
import type { Store } from "./store";

export type RewindView =
  | { kind: "off" }
  | {
      kind: "on";
      /** The moment that is shown, or asked for and not there yet. */
      at: number;
      /** What there is, from the first recorded moment to the last. */
      from: number;
      to: number;
      /** The broadcast is over: no more will come. */
      over: boolean;
    }
  /** Played to the end of a broadcast that is over. */
  | { kind: "finished" }
  /** `gone`: not kept any more; `unsupported`: of a kind that cannot be played in this way, or not by this browser. */
  | { kind: "failed"; why: "gone" | "unsupported" | "network" };

const TICK_MS = 250;
/** So much before the newest recorded moment is the last that is asked for. */
const EDGE_MS = 1_000;

type Span = Pick<Fragment, "start" | "duration" | "programDateTime">;

/** Where in the media a moment is, in seconds: of what was never recorded, the next thing that was. Null where there is nothing. */
export function secondsOf(spans: readonly Span[], at: number): number | null {
  let last: number | null = null;
  for (const { start, duration, programDateTime: date } of spans) {
    if (date === null) continue;
    if (at < date + duration * 1_000) return start + Math.max(0, at - date) / 1_000;
    last = start + duration;
  }
  return last;
}

/** The moment that is at this place in the media. */
export function momentOf(spans: readonly Span[], seconds: number): number | null {
  let last: number | null = null;
  for (const { start, duration, programDateTime: date } of spans) {
    if (date === null) continue;
    if (seconds < start) return last ?? date;
    last = date + Math.min(duration, seconds - start) * 1_000;
    if (seconds < start + duration) return last;
  }
  return last;
}

/** The library is large: it is fetched when somebody seems to want it. */
export function prepareRewind(): void {
  void import("hls.js/light").catch(() => {});
}

export class Rewind {
  #view: Store<RewindView>;
  #video: HTMLVideoElement;
  #url: string;
  #hls: Hls | null = null;
  #details: LevelDetails | null = null;
  #wanted: number;
  #seeking = true;
  #loading = false;
  #recovered = false;
  #closed = false;
  #timer: ReturnType<typeof setInterval>;
  #offs: (() => void)[] = [];

  constructor(video: HTMLVideoElement, url: string, at: number, view: Store<RewindView>) {
    this.#video = video;
    this.#url = url;
    this.#wanted = at;
    this.#view = view;
    view.set({ kind: "on", at, from: at, to: at, over: false });
    this.#listen("seeked", () => this.#arrived());
    this.#listen("playing", () => this.#arrived());
    this.#listen("ended", () => this.#end({ kind: "finished" }));
    this.#timer = setInterval(() => this.#tell(), TICK_MS);
    void this.#open();
  }

  seek(at: number): void {
    this.#wanted = at;
    const view = this.#view.snapshot();
    if (view.kind === "on") this.#view.set({ ...view, at });
    const seconds = this.#place();
    if (seconds === null) return;
    this.#seeking = true;
    // Before it has anything the video does not say that it seeks, and the library would stay where it began.
    if (this.#video.readyState === 0) this.#hls?.startLoad(seconds);
    else this.#video.currentTime = seconds;
  }

  close(): void {
    this.#stop();
    this.#view.set({ kind: "off" });
  }

  #stop(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const off of this.#offs) off();
    this.#hls?.destroy();
    this.#hls = null;
  }

  #end(view: RewindView): void {
    if (this.#closed) return;
    this.#stop();
    this.#view.set(view);
  }

  #listen(event: string, listener: () => void): void {
    this.#video.addEventListener(event, listener);
    this.#offs.push(() => this.#video.removeEventListener(event, listener));
  }

  async #open(): Promise<void> {
    const library = await import("hls.js/light").catch(() => null);
    if (this.#closed) return;
    if (library === null) return this.#end({ kind: "failed", why: "network" });
    const { default: Library, Events, ErrorTypes } = library;
    if (!Library.isSupported()) return this.#end({ kind: "failed", why: "unsupported" });
    const hls = new Library({
      autoStartLoad: false,
      // Workers would have to be allowed by the server's policy, and there is nothing to transmux.
      enableWorker: false,
      lowLatencyMode: false,
      maxBufferLength: 20,
      backBufferLength: 60,
      liveDurationInfinity: true,
    });
    this.#hls = hls;
    hls.on(Events.LEVEL_LOADED, (_, { details }) => {
      this.#details = details;
      if (this.#loading) return;
      const seconds = this.#place();
      if (seconds === null) return;
      this.#loading = true;
      hls.startLoad(seconds);
    });
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      this.#details = details;
    });
    hls.on(Events.ERROR, (_, { fatal, type, response }) => {
      if (!fatal) return;
      if (type === ErrorTypes.MEDIA_ERROR && !this.#recovered) {
        this.#recovered = true;
        return hls.recoverMediaError();
      }
      const code = response?.code;
      const why = code === 410 ? "gone" : code === 415 ? "unsupported" : "network";
      this.#end({ kind: "failed", why: type === ErrorTypes.MEDIA_ERROR ? "unsupported" : why });
    });
    hls.loadSource(this.#url);
    hls.attachMedia(this.#video);
  }

  /** Where the wanted moment is; null before the playlist is there. */
  #place(): number | null {
    if (this.#details === null) return null;
    const to = momentOf(this.#details.fragments, Number.POSITIVE_INFINITY);
    if (to === null) return null;
    return secondsOf(this.#details.fragments, Math.min(this.#wanted, to - EDGE_MS));
  }

  #arrived(): void {
    if (this.#video.readyState >= 2) this.#seeking = false;
    this.#tell();
  }

  #tell(): void {
    const spans = this.#details?.fragments ?? [];
    const from = momentOf(spans, 0);
    const to = momentOf(spans, Number.POSITIVE_INFINITY);
    if (this.#closed || from === null || to === null) return;
    const shown = this.#seeking ? null : momentOf(spans, this.#video.currentTime);
    const over = this.#details?.live === false;
    this.#view.set({ kind: "on", at: shown ?? this.#wanted, from, to, over });
  }
}
