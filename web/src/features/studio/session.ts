// One broadcast from this browser: sources, socket, publisher and figures together. It outlives the studio page, so that looking
// something up in the library does not end a broadcast. Plain classes; React reads the stores.
import { api } from "@/api/client";
import type { Clip } from "@/api/generated/protocol";
import { ChannelSocket } from "@/api/socket";
import { HISTORY, Meter, type Sample } from "@/rtc/health";
import type { VideoCodec } from "@/rtc/link";
import { onAir } from "@/rtc/on-air";
import { HOLD_MS, Publisher, type PublisherState } from "@/rtc/publisher";
import { less } from "@/rtc/simulcast";
import { Store } from "@/rtc/store";
import { granted, type Left, leave, reloaded, take } from "./left";
import { type SourceEvent, Sources } from "./sources";

/** A broadcast that this tab was sending before its page was loaded anew, and what stands between it and going on. */
export type Waiting = {
  left: Left;
  /** "press": the browser, or a device, wants a person. "screen": a screen is shared by a press only. */
  for: "devices" | "press" | "screen";
};

export type SessionView = {
  channel: string;
  publisher: PublisherState;
  /** UTC milliseconds, by the server's word when it has given it. */
  startedAt: number | null;
  viewers: number | null;
  samples: readonly Sample[];
  alarm: string | null;
  waiting: Waiting | null;
};

export type SessionEvent =
  | SourceEvent
  | { kind: "clip"; clip: Clip }
  | { kind: "switch-failed" }
  | { kind: "ended"; reason: string };

/** 720p30; the brief's default. */
export const VIDEO_BITRATE = 2_500_000;
export const LOW_BITRATE = 1_200_000;
const FRAMERATE = 30;

export class StudioSession {
  readonly view = new Store<SessionView>({
    channel: "main",
    publisher: { kind: "idle" },
    startedAt: null,
    viewers: null,
    samples: [],
    alarm: null,
    waiting: null,
  });
  readonly sources = new Sources((event) => this.#tell(event));
  #listeners = new Set<(event: SessionEvent) => void>();
  #socket: ChannelSocket | null = null;
  #publisher: Publisher | null = null;
  #meter = new Meter();
  #metered: RTCPeerConnection | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #codec: VideoCodec = "h264";
  #patience: ReturnType<typeof setTimeout> | undefined;
  #sent: { video: MediaStreamTrack | null; audio: MediaStreamTrack | null } = { video: null, audio: null };

  constructor() {
    this.sources.view.subscribe(() => void this.#sourcesChanged());
  }

  onEvent(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get sending(): boolean {
    return ["connecting", "on-air", "reconnecting"].includes(this.#now.publisher.kind);
  }

  goLive(channel: string, codec: VideoCodec, resumes?: { broadcast: string; since: number }): void {
    if (this.sending) return;
    this.#end();
    this.#codec = codec;
    const { video, audio } = this.sources.view.snapshot();
    this.#sent = { video, audio };
    const socket = new ChannelSocket({ channel, streamer: true });
    const publisher = new Publisher(
      socket,
      { video, audio },
      { codec, videoBitrate: VIDEO_BITRATE, framerate: FRAMERATE, resumes },
    );
    this.#socket = socket;
    this.#publisher = publisher;
    this.view.set({
      channel,
      publisher: publisher.state.snapshot(),
      startedAt: null,
      viewers: null,
      samples: [],
      alarm: null,
      waiting: null,
    });
    publisher.state.subscribe(() => this.#publisherChanged(publisher));
    socket.on("viewers", ({ count }) => this.#change({ viewers: count }));
    socket.on("clip", ({ clip }) => this.#tell({ kind: "clip", clip }));
    socket.on("stream-started", ({ live }) =>
      this.#change({ startedAt: live.startedAt, viewers: live.viewers }),
    );
    socket.on("alarm", ({ text }) => this.#change({ alarm: text }));
    this.#timer = setInterval(() => void this.#measure(), 1_000);
  }

  /** Goes on with what this tab was sending before its page was loaded anew: by itself where that is what it looked like before, else by a press. */
  async comeBack(): Promise<{ wentOn: boolean }> {
    const left = take(Date.now());
    if (left !== null && !this.sending) await this.#comeBack(left);
    return { wentOn: left !== null && this.sending };
  }

  async #comeBack(left: Left): Promise<void> {
    this.#wait({ left, for: "devices" });
    this.#patience = setTimeout(() => this.#wait(null), left.leftAt + HOLD_MS - Date.now());
    this.sources.setMuted(left.muted);
    const asked = !reloaded() || !(await granted(left));
    if (this.#now.waiting?.left !== left) return;
    if (left.sharing || asked) return this.#wait({ left, for: left.sharing ? "screen" : "press" });
    await this.sources.open();
    if (this.#now.waiting?.left !== left) return;
    const { camera, microphone } = this.sources.view.snapshot();
    if (camera === left.camera && microphone === left.microphone) this.goOn();
    else this.#wait({ left, for: "press" });
  }

  /** With the sources as they are now. */
  goOn(): void {
    const left = this.#now.waiting?.left;
    if (!left) return;
    this.goLive(left.channel, left.codec, { broadcast: left.broadcast, since: left.leftAt });
  }

  /** Ends the broadcast that waits. */
  async endWaiting(): Promise<{ ok: boolean }> {
    const left = this.#now.waiting?.left;
    this.#wait(null);
    return left ? { ok: (await api.stop(left.broadcast)).ok } : { ok: true };
  }

  /** The page goes. What it sends, or was about to go on with, may go on with the next one. */
  pageGoes(): void {
    const { publisher, waiting, channel } = this.#now;
    if (waiting) return leave(waiting.left);
    if (publisher.kind !== "on-air" && publisher.kind !== "reconnecting") return;
    const { camera, microphone, muted, sharing } = this.sources.view.snapshot();
    const { broadcast } = publisher;
    leave({
      ...{ channel, broadcast, codec: this.#codec, camera, microphone, muted, sharing },
      leftAt: publisher.kind === "reconnecting" ? publisher.since : Date.now(),
    });
  }

  #wait(waiting: Waiting | null): void {
    if (waiting === null) clearTimeout(this.#patience);
    this.#change({ waiting });
  }

  /** Ends the broadcast for everybody. */
  async endBroadcast(): Promise<{ ok: boolean }> {
    return (await this.#publisher?.stop(async (id) => ({ ok: (await api.stop(id)).ok }))) ?? { ok: true };
  }

  /** Stops trying before it has begun, or forgets what is over. */
  reset(): void {
    this.#end();
    this.#change({ publisher: { kind: "idle" }, samples: [], startedAt: null, viewers: null, alarm: null });
    onAir.set(null);
  }

  async clip(): Promise<{ ok: true } | { ok: false; code: string }> {
    const reply = await this.#socket?.clip();
    if (!reply) return { ok: false, code: "not_live" };
    return reply.ok ? { ok: true } : { ok: false, code: reply.error.code };
  }

  /** The server's own figures say when the broadcast began and who is there. */
  heard(facts: { startedAt: number; viewers: number }): void {
    const now = this.#now;
    if (now.startedAt === facts.startedAt && now.viewers === facts.viewers) return;
    this.#change({ startedAt: facts.startedAt, viewers: facts.viewers });
  }

  /** Sends less: a lower rate, or a smaller picture. */
  async sendLess(how: "rate" | "size"): Promise<void> {
    const sender = this.#publisher?.connection?.getSenders().find((s) => s.track?.kind === "video");
    if (!sender) return;
    const parameters = sender.getParameters();
    parameters.encodings = less(parameters.encodings, how, LOW_BITRATE);
    await sender.setParameters(parameters).catch(() => {});
  }

  get #now(): SessionView {
    return this.view.snapshot();
  }

  #change(part: Partial<SessionView>): void {
    this.view.set({ ...this.#now, ...part });
  }

  #tell(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #publisherChanged(publisher: Publisher): void {
    if (publisher !== this.#publisher) return;
    const state = publisher.state.snapshot();
    const began = state.kind === "on-air" && this.#now.startedAt === null;
    this.#change({ publisher: state, ...(began ? { startedAt: Date.now() } : {}) });
    onAir.set(this.sending ? { channel: this.#now.channel } : null);
    if (state.kind === "ended") this.#tell({ kind: "ended", reason: state.reason });
    if (state.kind === "ended" || state.kind === "refused") clearInterval(this.#timer);
  }

  async #sourcesChanged(): Promise<void> {
    const { video, audio } = this.sources.view.snapshot();
    const before = this.#sent;
    this.#sent = { video, audio };
    if (!this.#publisher || !this.sending) return;
    const results = [
      video === before.video ? { ok: true } : await this.#publisher.replace("video", video),
      audio === before.audio ? { ok: true } : await this.#publisher.replace("audio", audio),
    ];
    if (results.some((result) => !result.ok)) this.#tell({ kind: "switch-failed" });
  }

  async #measure(): Promise<void> {
    const pc = this.#publisher?.connection ?? null;
    if (!pc || this.#now.publisher.kind !== "on-air") return;
    if (pc !== this.#metered) {
      this.#metered = pc;
      this.#meter = new Meter();
    }
    const sample = await this.#meter.measure(pc);
    if (sample) this.#change({ samples: [...this.#now.samples, sample].slice(-HISTORY) });
  }

  #end(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#patience);
    this.#publisher?.close();
    this.#socket?.close();
    this.#publisher = null;
    this.#socket = null;
    this.#metered = null;
  }
}

/** There is one camera and one person: one session for each open page. */
export const studio = new StudioSession();

window.addEventListener("pagehide", () => studio.pageGoes());
window.addEventListener("beforeunload", (event) => {
  if (studio.sending) event.preventDefault();
});
