// Plays a broadcast from one file, where its format cannot be played in segments. Says what it does as a rewind does.
import type { RewindView } from "@/rtc/rewind";
import type { Store } from "@/rtc/store";

const TICK_MS = 250;

export class FilePlayback {
  #video: HTMLVideoElement;
  #startedAt: number;
  #view: Store<RewindView>;
  #wanted: number;
  #timer: ReturnType<typeof setInterval>;
  #offs: (() => void)[] = [];
  #closed = false;

  /** `startedAt` and `at` are UTC milliseconds: when the broadcast began, and the moment to begin at. */
  constructor(video: HTMLVideoElement, url: string, startedAt: number, at: number, view: Store<RewindView>) {
    this.#video = video;
    this.#startedAt = startedAt;
    this.#wanted = at;
    this.#view = view;
    view.set({ kind: "on", at, from: at, to: at, over: true });
    this.#listen("loadedmetadata", () => this.seek(this.#wanted));
    this.#listen("ended", () => this.#end({ kind: "finished" }));
    this.#listen("error", () => this.#end({ kind: "failed", why: "network" }));
    this.#timer = setInterval(() => this.#tell(), TICK_MS);
    video.src = url;
  }

  seek(at: number): void {
    this.#wanted = at;
    if (this.#video.readyState === 0) return;
    this.#video.currentTime = Math.max(0, (at - this.#startedAt) / 1_000);
    this.#tell();
  }

  close(): void {
    this.#stop();
    this.#view.set({ kind: "off" });
  }

  #listen(event: string, listener: () => void): void {
    this.#video.addEventListener(event, listener);
    this.#offs.push(() => this.#video.removeEventListener(event, listener));
  }

  #tell(): void {
    const { readyState, duration, currentTime } = this.#video;
    if (this.#closed || readyState === 0 || !Number.isFinite(duration)) return;
    const moment = (seconds: number) => this.#startedAt + seconds * 1_000;
    this.#view.set({
      kind: "on",
      at: moment(currentTime),
      from: moment(0),
      to: moment(duration),
      over: true,
    });
  }

  #end(view: RewindView): void {
    if (this.#closed) return;
    this.#stop();
    this.#view.set(view);
  }

  #stop(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const off of this.#offs) off();
    this.#video.removeAttribute("src");
    this.#video.load();
  }
}
