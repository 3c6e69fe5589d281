// Camera, microphone and screen of this machine, as a plain class: what there is, what is chosen, and the tracks that come of it.
// Sending them is the session's.
import { Store } from "@/rtc/store";
import { recall, remember } from "@/ui/remember";

export type Device = { id: string; name: string };
/** Why the browser gives nothing. */
export type SourceProblem = "denied" | "none" | "busy" | "insecure";

export type SourcesView = {
  asking: boolean;
  problem: SourceProblem | null;
  cameras: readonly Device[];
  microphones: readonly Device[];
  /** The chosen device, null for none. */
  camera: string | null;
  microphone: string | null;
  muted: boolean;
  sharing: boolean;
  /** What goes out: the screen while it is shared, else the camera. */
  video: MediaStreamTrack | null;
  audio: MediaStreamTrack | null;
};

export type SourceEvent = { kind: "lost"; name: string };

const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } } as const;
const REMEMBERED = "oxbow.sources";

export class Sources {
  readonly view = new Store<SourcesView>({
    asking: false,
    problem: null,
    cameras: [],
    microphones: [],
    camera: null,
    microphone: null,
    muted: false,
    sharing: false,
    video: null,
    audio: null,
  });
  #tell: (event: SourceEvent) => void;
  #camera: MediaStreamTrack | null = null;
  #screen: MediaStreamTrack | null = null;
  #audio: MediaStreamTrack | null = null;
  #meter: { context: AudioContext; analyser: AnalyserNode; values: Float32Array<ArrayBuffer> } | null = null;
  #watching = false;
  #opening: Promise<void> | null = null;

  constructor(tell: (event: SourceEvent) => void) {
    this.#tell = tell;
  }

  /** Asks for camera and microphone together, so that the browser asks once; then for each alone. */
  open(): Promise<void> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    if (this.#camera || this.#audio) return;
    if (!navigator.mediaDevices) return this.#change({ problem: "insecure" });
    this.#change({ asking: true, problem: null });
    const last = remembered();
    const wishes: MediaStreamConstraints[] = [
      { video: wish(PICTURE, last.camera), audio: wish({}, last.microphone) },
      { audio: wish({}, last.microphone) },
      { video: wish(PICTURE, last.camera) },
    ];
    let problem: SourceProblem | null = null;
    for (const constraints of wishes) {
      try {
        const stream = await navigator.mediaDevices.getUserMedia(constraints);
        this.#setCamera(stream.getVideoTracks()[0] ?? null);
        this.#setAudio(stream.getAudioTracks()[0] ?? null);
        problem = null;
        break;
      } catch (cause) {
        problem = problemOf(cause);
        // A person said no: asking again for less would only be a nuisance.
        if (problem === "denied" || problem === "insecure") break;
      }
    }
    this.#change({ asking: false, problem });
    await this.#list();
    this.#watchDevices();
  }

  async chooseCamera(id: string | null): Promise<void> {
    keep({ camera: id });
    if (id === null) return this.#setCamera(null);
    await this.#choose({ video: { ...PICTURE, deviceId: { exact: id } } }, (stream) =>
      this.#setCamera(stream.getVideoTracks()[0] ?? null),
    );
  }

  async chooseMicrophone(id: string | null): Promise<void> {
    keep({ microphone: id });
    if (id === null) return this.#setAudio(null);
    await this.#choose({ audio: { deviceId: { exact: id } } }, (stream) =>
      this.#setAudio(stream.getAudioTracks()[0] ?? null),
    );
  }

  async shareScreen(): Promise<void> {
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } } });
      const track = stream.getVideoTracks()[0];
      if (!track) return;
      track.contentHint = "detail";
      // The browser's own "Stop sharing".
      track.onended = () => this.stopScreen();
      this.#screen?.stop();
      this.#screen = track;
      this.#tracks();
    } catch {
      // Closing the browser's dialog is an answer, not an error.
    }
  }

  stopScreen(): void {
    stop(this.#screen);
    this.#screen = null;
    this.#tracks();
  }

  setMuted(muted: boolean): void {
    if (this.#audio) this.#audio.enabled = !muted;
    this.#change({ muted });
  }

  /** Loudness now, 0 to 1 over 60 decibels; 0 without a microphone. */
  level(): number {
    if (!this.#meter || this.#now.muted) return 0;
    const { analyser, values } = this.#meter;
    analyser.getFloatTimeDomainData(values);
    let sum = 0;
    for (const value of values) sum += value * value;
    const decibels = 10 * Math.log10(sum / values.length + 1e-9);
    return Math.min(1, Math.max(0, (decibels + 60) / 60));
  }

  /** Gives the devices back. */
  close(): void {
    stop(this.#screen);
    this.#screen = null;
    this.#setCamera(null);
    this.#setAudio(null);
  }

  get #now(): SourcesView {
    return this.view.snapshot();
  }

  #change(part: Partial<SourcesView>): void {
    this.view.set({ ...this.#now, ...part });
  }

  #tracks(): void {
    this.#change({
      sharing: this.#screen !== null,
      video: this.#screen ?? this.#camera,
      audio: this.#audio,
      camera: this.#camera?.getSettings().deviceId ?? null,
      microphone: this.#audio?.getSettings().deviceId ?? null,
    });
  }

  async #choose(constraints: MediaStreamConstraints, take: (stream: MediaStream) => void): Promise<void> {
    try {
      take(await navigator.mediaDevices.getUserMedia(constraints));
      this.#change({ problem: null });
      await this.#list();
    } catch (cause) {
      this.#change({ problem: problemOf(cause) });
    }
  }

  #setCamera(track: MediaStreamTrack | null): void {
    stop(this.#camera);
    this.#camera = track;
    if (track) {
      track.contentHint = "motion";
      track.onended = () => this.#lost(track.label, () => this.#setCamera(null));
    }
    this.#tracks();
  }

  #setAudio(track: MediaStreamTrack | null): void {
    stop(this.#audio);
    void this.#meter?.context.close();
    this.#meter = null;
    this.#audio = track;
    if (track) {
      track.enabled = !this.#now.muted;
      track.onended = () => this.#lost(track.label, () => this.#setAudio(null));
      this.#meter = listen(track);
    }
    this.#tracks();
  }

  #lost(name: string, forget: () => void): void {
    forget();
    this.#tell({ kind: "lost", name });
    void this.#list();
  }

  async #list(): Promise<void> {
    const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    const of = (kind: MediaDeviceKind) =>
      all
        .filter((device) => device.kind === kind && device.deviceId !== "")
        .map((d) => ({ id: d.deviceId, name: d.label }));
    this.#change({ cameras: of("videoinput"), microphones: of("audioinput") });
  }

  #watchDevices(): void {
    if (this.#watching) return;
    this.#watching = true;
    navigator.mediaDevices.addEventListener("devicechange", () => void this.#list());
  }
}

function stop(track: MediaStreamTrack | null): void {
  if (!track) return;
  track.onended = null;
  track.stop();
}

function wish(base: MediaTrackConstraints, id: string | null | undefined): MediaTrackConstraints | boolean {
  if (id === null) return false;
  return id === undefined ? base : { ...base, deviceId: { ideal: id } };
}

function listen(track: MediaStreamTrack) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1_024;
  // Browsers let a page listen only after it has been pressed; the first press starts the meter.
  if (context.state === "suspended") {
    const resume = () => {
      if (context.state === "suspended") void context.resume();
    };
    for (const press of ["pointerdown", "keydown"]) document.addEventListener(press, resume, { once: true });
  }
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  return { context, analyser, values: new Float32Array(analyser.fftSize) };
}

function problemOf(cause: unknown): SourceProblem {
  const name = cause instanceof DOMException ? cause.name : "";
  if (name === "NotAllowedError") return "denied";
  if (name === "NotReadableError" || name === "AbortError") return "busy";
  if (name === "SecurityError") return "insecure";
  return "none";
}

type Remembered = { camera?: string | null; microphone?: string | null };

function remembered(): Remembered {
  try {
    const kept = JSON.parse(recall(REMEMBERED) ?? "{}") as Remembered;
    // Both off would open a studio with nothing to send.
    return kept.camera === null && kept.microphone === null ? {} : kept;
  } catch {
    return {};
  }
}

function keep(part: Remembered): void {
  remember(REMEMBERED, JSON.stringify({ ...remembered(), ...part }));
}
