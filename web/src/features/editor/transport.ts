// Plays, seeks and steps a clip for the editor, frame by frame and in both directions, and what is kept of the recording around it. Knows a <video> and
// no React.
import { Reel } from "./reel";
import { backwards, press, type Speed } from "./shuttle";
import { clamp, type Span } from "./view";
import type { Reach } from "./windows";

/** Until the pictures tell otherwise. */
const FRAME_MS = 1_000 / 30;
/** Frame distances that are believed: 8 to 120 pictures a second. */
const FRAME_MIN_MS = 1_000 / 120;
const FRAME_MAX_MS = 1_000 / 8;
/** Distances that the median is taken of. */
const MEASURED = 31;
/** What is shown as a number changes this often at most while it plays. */
const TELL_MS = 250;
/** A seek that brings no picture within this has none to bring, as in sound or in a hidden page. */
const SETTLE_MS = 300;
/** Half frames to look ahead for the next picture: a sender that paused for two seconds is stepped over. */
const LOOK_AHEAD = 120;
export type Playing = {
  speed: Speed;
  /** Of the broadcast's timeline: where the picture that is shown begins. */
  positionMs: number;
  frameMs: number;
  loop: boolean;
  muted: boolean;
  failed: boolean;
  /** Of the recording outside the clip: its file is made, or could not be. */
  beyond: "loading" | "failed" | null;
};

export class Transport {
  #video: HTMLVideoElement | null = null;
  #clip: Span;
  #reel: Reel;
  #loop: Span;
  #playing: Playing;
  #listeners = new Set<() => void>();
  #movers = new Set<(positionMs: number) => void>();
  #distances: number[] = [];
  #told = 0;
  #back = 0;
  /** Counts seeks, and which of them the picture on the screen came after. */
  #seeks = 0;
  #pictured = 0;
  /** Where the picture on the screen begins. */
  #shownMs: number;
  #settle: () => void = () => {};
  #steps = 0;
  #stepping = false;
  #detach: () => void = () => {};

  constructor(clip: Span, media: string) {
    this.#clip = clip;
    this.#reel = new Reel(clip, media, (beyond) => {
      if (this.#playing.beyond !== beyond) this.#change({ beyond });
    });
    this.#loop = clip;
    this.#shownMs = clip.fromMs;
    this.#playing = {
      speed: 0,
      positionMs: clip.fromMs,
      frameMs: FRAME_MS,
      loop: true,
      muted: false,
      failed: false,
      beyond: null,
    };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): Playing => this.#playing;

  /** Called for every picture that is shown; for what moves with the picture. */
  onMove(mover: (positionMs: number) => void): () => void {
    this.#movers.add(mover);
    mover(this.#playing.positionMs);
    return () => this.#movers.delete(mover);
  }

  /** `hold` keeps the picture that is on the screen until another is there. */
  attach(video: HTMLVideoElement, hold: () => void): () => void {
    this.#video = video;
    this.#reel.attach(video, hold);
    let frames = 0;
    const shown = (_: number, { mediaTime }: VideoFrameCallbackMetadata) => {
      frames = video.requestVideoFrameCallback(shown);
      // Of the file that was there before.
      if (this.#reel.waits) return;
      this.#shownMs = this.#reel.span.fromMs + mediaTime * 1_000;
      this.#pictured = this.#seeks;
      // A picture that comes before its seek has ended counts when it has.
      if (!video.seeking) this.#showed();
    };
    frames = video.requestVideoFrameCallback?.(shown) ?? 0;
    const ticked = () => {
      // Sound shows no pictures; its place is the clock's.
      if (this.#reel.waits) return;
      if (video.videoWidth === 0) {
        this.#shownMs = this.#reel.span.fromMs + video.currentTime * 1_000;
        this.#pictured = this.#seeks;
      }
      if (!video.seeking && this.#pictured === this.#seeks) this.#showed();
    };
    const stopped = () => {
      const isOver = video.ended || this.#reel.waits;
      if (this.#playing.speed > 0 && video.paused && !video.seeking && !isOver) this.#change({ speed: 0 });
    };
    const events: [keyof HTMLMediaElementEventMap, () => void][] = [
      ["timeupdate", ticked],
      ["seeked", ticked],
      ["pause", stopped],
      ["ended", () => this.#ended()],
      ["loadedmetadata", () => this.#loaded()],
      ["error", () => this.#failed()],
      ["volumechange", () => this.#change({ muted: video.muted })],
    ];
    for (const [name, heard] of events) video.addEventListener(name, heard);
    this.#detach = () => {
      for (const [name, heard] of events) video.removeEventListener(name, heard);
      video.cancelVideoFrameCallback?.(frames);
      cancelAnimationFrame(this.#back);
      this.#reel.detach();
      this.#video = null;
    };
    return this.#detach;
  }

  /** What play goes round in. */
  setLoop(span: Span): void {
    this.#loop = span;
  }

  /** How far the picture can follow; null: not beyond the clip. */
  setReach(reach: Reach | null): void {
    this.#reel.reach = reach;
  }

  setLooping(loop: boolean): void {
    this.#change({ loop });
  }

  toggle(): void {
    this.#run(this.#playing.speed === 0 ? 1 : 0);
  }

  shuttle(key: "j" | "k" | "l"): void {
    this.#run(press(key, this.#playing.speed));
  }

  mute(): void {
    if (this.#video) this.#video.muted = !this.#video.muted;
  }

  /** Stops and shows the picture at a place. */
  seek(ms: number): void {
    this.#run(0);
    this.#steps = 0;
    this.#go(ms);
  }

  leap(ms: number): void {
    this.seek(this.#playing.positionMs + ms);
  }

  /** Shows the picture so many frames later, or earlier when negative. Presses that come faster than pictures add up. */
  step(frames: number): void {
    this.#run(0);
    this.#steps = clamp(this.#steps + frames, -30, 30);
    if (!this.#stepping) void this.#walk();
  }

  async #walk(): Promise<void> {
    this.#stepping = true;
    while (this.#steps !== 0 && this.#video) {
      const direction = Math.sign(this.#steps);
      this.#steps -= direction;
      if (direction < 0) await this.#before();
      else await this.#after();
    }
    this.#stepping = false;
  }

  /** What is shown just before this picture begins is the picture before it, however long it lasted. */
  async #before(): Promise<void> {
    this.#go(this.#playing.positionMs - 1);
    await this.#settled();
  }

  /** Pictures come unevenly, so the next one is looked for in half frames. */
  async #after(): Promise<void> {
    const { positionMs, frameMs } = this.#playing;
    for (let half = 2.5; half < LOOK_AHEAD; half += 1) {
      const wanted = positionMs + (half / 2) * frameMs;
      if (wanted >= this.#reel.all.toMs) return;
      this.#go(wanted);
      await this.#settled();
      if (this.#shownMs > positionMs + 0.5 || !this.#video) return;
    }
  }

  /** Until the picture of the last seek is on the screen, or the same one still is. */
  #settled(): Promise<void> {
    return new Promise((resolve) => {
      let timer: ReturnType<typeof setTimeout>;
      // Counted from the end of the seek: however long that takes, it is not given up for the next one.
      const isUnderWay = () => this.#video !== null && (this.#video.seeking || this.#reel.waits);
      const wait = () => {
        timer = setTimeout(() => (isUnderWay() ? wait() : this.#settle()), SETTLE_MS);
      };
      wait();
      this.#settle = () => {
        clearTimeout(timer);
        this.#settle = () => {};
        this.#move(this.#shownMs);
        this.#tell();
        resolve();
      };
    });
  }

  #go(ms: number): void {
    this.#seeks += 1;
    this.#move(this.#reel.show(ms, this.#playing.frameMs));
    this.#tell();
  }

  #loaded(): void {
    const { speed } = this.#playing;
    if (!this.#reel.loaded() || speed <= 0 || !this.#video) return;
    this.#video.playbackRate = speed;
    void this.#video.play().catch(() => this.#change({ speed: 0 }));
  }

  #failed(): void {
    this.#change(this.#reel.failed() ? { failed: true, speed: 0 } : { speed: 0 });
  }

  #run(speed: Speed): void {
    const video = this.#video;
    cancelAnimationFrame(this.#back);
    if (!video || this.#playing.failed) return;
    if (speed !== this.#playing.speed) this.#change({ speed });
    if (speed > 0) {
      this.#startInside();
      // It starts when its file is there.
      if (this.#reel.waits) return;
      video.playbackRate = speed;
      void video.play().catch(() => this.#change({ speed: 0 }));
    } else {
      video.pause();
      if (speed < 0) this.#goBack(speed);
    }
  }

  /** Play from the end, or from beyond the piece that is looped, begins anew. */
  #startInside(): void {
    const { positionMs, loop, frameMs } = this.#playing;
    const span = loop ? this.#loop : this.#clip;
    const isOutside = !loop && (positionMs < span.fromMs || positionMs >= span.toMs);
    if (!isOutside && positionMs >= span.toMs - frameMs) this.#go(span.fromMs);
  }

  #goBack(speed: Speed): void {
    const from = this.#playing.positionMs;
    const began = performance.now();
    const least = Math.min(this.#clip.fromMs, this.#loop.fromMs, this.#reel.span.fromMs);
    const next = () => {
      const place = backwards(from, speed, performance.now() - began, least);
      // A picture is asked for when the one before it is there.
      if (this.#video && !this.#video.seeking && !this.#reel.waits) this.#go(place);
      if (place <= least) this.#change({ speed: 0 });
      else this.#back = requestAnimationFrame(next);
    };
    this.#back = requestAnimationFrame(next);
  }

  #showed(): void {
    const { speed, positionMs } = this.#playing;
    const ms = this.#shownMs;
    if (speed === 1) this.#measure(ms - positionMs);
    this.#move(ms);
    this.#settle();
    if (speed > 0 && this.#playing.loop && ms >= this.#loop.toMs - this.#playing.frameMs / 2) this.#round();
    else if (speed <= 0 || performance.now() - this.#told >= TELL_MS) this.#tell();
  }

  /** A file is over; what is played may go on in another. */
  #ended(): void {
    const { speed, loop, frameMs } = this.#playing;
    const end = this.#reel.span.toMs;
    const goal = loop ? this.#loop.toMs : this.#reel.isOwn ? end : this.#reel.all.toMs;
    if (speed > 0 && end + frameMs < goal) this.#goOn(end + frameMs / 2 + 1);
    else if (speed > 0 && loop) this.#round();
    else this.#change({ speed: 0 });
  }

  /** From out back to in, playing on. */
  #round(): void {
    this.#goOn(this.#loop.fromMs);
  }

  #goOn(ms: number): void {
    const { speed } = this.#playing;
    this.#go(ms);
    if (!this.#reel.waits && this.#video?.paused && speed > 0) {
      void this.#video.play().catch(() => this.#change({ speed: 0 }));
    }
  }

  #measure(distanceMs: number): void {
    if (distanceMs < FRAME_MIN_MS || distanceMs > FRAME_MAX_MS) return;
    this.#distances = [...this.#distances, distanceMs].slice(-MEASURED);
    if (this.#distances.length < MEASURED) return;
    const median = [...this.#distances].sort((a, b) => a - b)[MEASURED >> 1] ?? FRAME_MS;
    if (Math.abs(median - this.#playing.frameMs) > 0.5) this.#change({ frameMs: median });
  }

  #move(positionMs: number): void {
    this.#playing = { ...this.#playing, positionMs };
    for (const mover of this.#movers) mover(positionMs);
  }

  #tell(): void {
    this.#told = performance.now();
    for (const listener of this.#listeners) listener();
  }

  #change(change: Partial<Playing>): void {
    this.#playing = { ...this.#playing, ...change };
    this.#tell();
  }
}
