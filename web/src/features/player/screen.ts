// What the video element shows, without React: attaches streams, starts them with or without sound, keeps the last frame for
// the moment in which one stream replaces another.
import { Rewind, type RewindView } from "@/rtc/rewind";
import { Store } from "@/rtc/store";

/** `blocked`: plays, but the browser (or good manners) keeps it silent until the viewer asks. */
export type Sound = "on" | "blocked";

const JOIN = "oxbow:join";
const FIRST_FRAME = "oxbow:first-frame";

export class Screen {
  readonly sound = new Store<Sound>("on");
  readonly rewound = new Store<RewindView>({ kind: "off" });
  /** What is on air, whatever is shown. */
  #live: MediaStream | null = null;
  #rewind: Rewind | null = null;
  #video: HTMLVideoElement;
  #held: HTMLCanvasElement;
  #shown: () => void;
  #offs: (() => void)[] = [];

  constructor(video: HTMLVideoElement, held: HTMLCanvasElement, shown: () => void) {
    if (performance.getEntriesByName(JOIN).length === 0) performance.mark(JOIN);
    this.#video = video;
    this.#held = held;
    this.#shown = shown;
    // Sound never starts by itself: only when the viewer has pressed something on this site to get here.
    const asked = navigator.userActivation?.hasBeenActive ?? false;
    video.muted = !asked;
    if (!asked) this.sound.set("blocked");
    this.#listen("loadeddata", () => this.#pictureIsThere());
    this.#listen("volumechange", () => {
      if (!video.muted) this.sound.set("on");
    });
  }

  show(stream: MediaStream | null): void {
    this.#live = stream;
    if (this.#rewind !== null || this.#video.srcObject === stream) return;
    if (this.#video.srcObject !== null) this.hold();
    // Without a stream the last frame stays: slates lie over it.
    if (stream === null) return;
    this.#video.srcObject = stream;
    void this.#play();
  }

  /** Plays a past moment (UTC milliseconds) of the broadcast whose replay is at `url`, under the last frame until it is there. */
  rewind(url: string, at: number): void {
    if (this.#rewind !== null && this.rewound.snapshot().kind === "on") {
      this.#rewind.seek(at);
    } else {
      this.hold();
      this.#video.srcObject = null;
      this.#rewind = new Rewind(this.#video, url, at, this.rewound);
    }
    void this.#play();
  }

  /** Plays what is on air again; without it the last frame stays. */
  live(): void {
    if (this.#rewind !== null) {
      this.hold();
      this.#rewind.close();
      this.#rewind = null;
      this.#video.removeAttribute("src");
      this.#video.load();
    }
    this.#video.srcObject = this.#live;
    if (this.#live !== null) void this.#play();
  }

  soundOn(): void {
    this.#video.muted = false;
    if (this.#video.volume === 0) this.#video.volume = 1;
    this.sound.set("on");
    void this.#play();
  }

  /** Draws the current frame behind the video, so that there is never nothing. */
  hold(): void {
    const { videoWidth, videoHeight } = this.#video;
    if (videoWidth === 0) return;
    this.#held.width = videoWidth;
    this.#held.height = videoHeight;
    this.#held.getContext("2d")?.drawImage(this.#video, 0, 0);
  }

  close(): void {
    for (const off of this.#offs) off();
    this.#rewind?.close();
    this.#rewind = null;
    this.#video.srcObject = null;
  }

  #listen(event: string, listener: () => void): void {
    this.#video.addEventListener(event, listener);
    this.#offs.push(() => this.#video.removeEventListener(event, listener));
  }

  #pictureIsThere(): void {
    // For those who measure: from the player's start, or the page's, to the first picture.
    if (performance.getEntriesByName(FIRST_FRAME).length === 0) performance.mark(FIRST_FRAME);
    if (this.#rewind === null) this.#shown();
  }

  async #play(): Promise<void> {
    try {
      await this.#video.play();
    } catch (cause) {
      if (!(cause instanceof DOMException) || cause.name !== "NotAllowedError" || this.#video.muted) return;
      this.#video.muted = true;
      this.sound.set("blocked");
      await this.#video.play().catch(() => {
        // Not even silent playing is allowed: the play button is the viewer's way in.
      });
    }
  }
}
