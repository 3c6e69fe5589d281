// Puts a camera, a screen or only sound on air, and keeps it there: a dropped connection looks for another path (ICE restart), then is
// offered anew for as long as the server holds the broadcast. Which devices and what is shown does not belong here.
import { CAPTURE_TIME, want } from "./extensions";
import { heard, onOtherPath, restartIce, type Standing } from "./ice";
import type { Link, Off, VideoCodec } from "./link";
import { Pulse } from "./pulse";
import { codecOf, withStartBitrate, withStereo } from "./sdp";
import { encodings } from "./simulcast";
import { Store } from "./store";

export type PublisherState =
  | { kind: "idle" }
  | { kind: "connecting"; since: number }
  | { kind: "on-air"; broadcast: string; codec: string | null }
  | { kind: "reconnecting"; broadcast: string; since: number }
  /** The broadcast is over. `lost`: it could not be resumed in time. */
  | { kind: "ended"; broadcast: string; reason: "stopped" | "lost" | "shutdown" | "taken-over" }
  /** Going on air did not work. */
  | { kind: "refused"; code: string; detail: string };

export type PublisherOptions = {
  codec: VideoCodec;
  /** Bits per second that the picture may take, smaller copies for viewers with less bandwidth not counted. */
  videoBitrate: number;
  framerate: number;
  /** Goes on with this broadcast, whose page is gone since then (UTC milliseconds), and with no other. */
  resumes?: { broadcast: string; since: number } | undefined;
};

/** The server holds a broadcast this long for its streamer. */
export const HOLD_MS = 30_000;
/** A restart of ICE gets this long before everything is offered anew. */
const RESTART_MS = 4_000;
const CONNECT_MS = 10_000;
const AGAIN_MS = 1_000;
/** A socket that only listens learns late that its network is gone. */
const CHECK_MS = 10_000;
const LOOK_MS = 500;
/** The server reports about what it gets many times a second: after such a silence the path is broken, whatever ICE still thinks. */
const SILENCE_MS = 1_500;
/** The server takes a silent session for gone after 3 s; a channel busy for longer is busy with somebody else. */
const BUSY_MS = 6_000;

export class Publisher {
  readonly state = new Store<PublisherState>({ kind: "idle" });
  #link: Link;
  #options: PublisherOptions;
  #tracks: { video: MediaStreamTrack | null; audio: MediaStreamTrack | null };
  #pc: RTCPeerConnection | null = null;
  #offs: Off[];
  #closed = false;
  #offering = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setInterval>;
  #pulse = new Pulse(0);
  /** What was to be done about a silence is being done. */
  #silent = false;
  #checkedAt = Date.now();

  constructor(
    link: Link,
    tracks: { video: MediaStreamTrack | null; audio: MediaStreamTrack | null },
    options: PublisherOptions,
  ) {
    this.#link = link;
    this.#tracks = tracks;
    this.#options = options;
    this.#resuming = options.resumes !== undefined;
    this.#offs = [
      link.onConnect(() => void this.#connected()),
      link.onNetwork(() => this.#moved()),
      link.onRefused((error) => this.#fail({ kind: "refused", ...error })),
      link.on("stream-ended", ({ broadcast, reason }) => this.#endedByServer(broadcast, reason)),
      link.on("taken-over", () => this.#finish("taken-over")),
    ];
    this.#watchdog = setInterval(() => void this.#watch(), LOOK_MS);
    const { resumes } = options;
    this.state.set(
      resumes ? { kind: "reconnecting", ...resumes } : { kind: "connecting", since: Date.now() },
    );
  }

  /** For the gauges; null while there is no connection. */
  get connection(): RTCPeerConnection | null {
    return this.#pc;
  }

  /** Changes what is sent without a new offer. Null sends nothing of that kind. */
  async replace(kind: "video" | "audio", track: MediaStreamTrack | null): Promise<{ ok: boolean }> {
    this.#tracks = { ...this.#tracks, [kind]: track };
    const sender = this.#pc
      ?.getTransceivers()
      .find((transceiver) => transceiver.receiver.track.kind === kind)?.sender;
    // A kind that was not offered at the start needs a new offer.
    if (!sender) {
      if (track !== null && this.state.snapshot().kind === "on-air") this.#reoffer();
      return { ok: true };
    }
    try {
      await sender.replaceTrack(track);
      return { ok: true };
    } catch {
      return { ok: false };
    }
  }

  /** Ends the broadcast at once. `fallback` ends it when the socket cannot. */
  async stop(fallback: (broadcast: string) => Promise<{ ok: boolean }>): Promise<{ ok: boolean }> {
    const broadcast = this.#broadcast();
    const reply = await this.#link.stopStream();
    const ok = reply.ok || broadcast === null || (await fallback(broadcast)).ok;
    if (ok) this.#finish("stopped");
    return { ok };
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#watchdog);
    clearTimeout(this.#timer);
    for (const off of this.#offs) off();
    this.#dropConnection();
  }

  #broadcast(): string | null {
    const state = this.state.snapshot();
    return "broadcast" in state ? state.broadcast : null;
  }

  /** The socket is there, for the first time or again. */
  async #connected(): Promise<void> {
    const state = this.state.snapshot();
    if (state.kind === "connecting") return this.#offer();
    if (state.kind !== "on-air" && state.kind !== "reconnecting") return;
    // The media may have gone on without the socket, to which it now belongs; only a broken one is offered anew.
    const session = this.#standing?.session;
    const reply = await this.#link.watch(session === undefined ? {} : { session });
    if (this.#closed || this.#broadcast() !== state.broadcast) return;
    if (this.#resuming && reply.ok && reply.live?.broadcast !== state.broadcast) return this.#finish("lost");
    const pc = this.#pc;
    if (pc !== null && this.#mending) {
      this.#giveTime();
      return this.#restart(pc);
    }
    const going = reply.ok && reply.live?.broadcast === state.broadcast && reply.live.state === "live";
    // Where nothing comes to a server that has kept the session, its path is broken: the server may know so before we do.
    const kept = reply.ok && session !== undefined && reply.session === session;
    if (pc?.connectionState !== "connected" || !(going || kept)) return this.#reoffer();
    if (this.#elsewhere || !going) void this.#restart(pc);
  }

  /** The browser is on another network, before its connections have noticed. */
  #moved(): void {
    this.#elsewhere = this.#standing !== null;
    if (this.#elsewhere && this.#pc) void this.#restart(this.#pc);
  }

  async #watch(): Promise<void> {
    if (Date.now() - this.#checkedAt >= CHECK_MS) this.#check();
    const pc = this.#pc;
    if (pc === null || this.state.snapshot().kind !== "on-air") return;
    const bytes = heard(await pc.getStats());
    const now = Date.now();
    if (this.#closed || pc !== this.#pc || bytes === null) return;
    if (this.#pulse.look({ bytes, path: null }, now) !== "still") this.#silent = false;
    else if (!this.#silent && now - this.#pulse.since > SILENCE_MS) {
      this.#silent = true;
      this.#check();
      this.#elsewhere = true;
      void this.#restart(pc);
    }
  }

  #check(): void {
    this.#checkedAt = Date.now();
    void this.#link.check();
  }

  /** A connection that stood is broken: its session may go on by another path. Nothing but time or its success ends the attempt. */
  #mend(pc: RTCPeerConnection, broadcast: string): void {
    if (this.#mending) return;
    if (this.#standing === null || this.state.snapshot().kind !== "on-air") return this.#reoffer();
    this.#mending = true;
    this.state.set({ kind: "reconnecting", broadcast, since: Date.now() });
    this.#giveTime();
    void this.#restart(pc);
  }

  /** For another path to be found, from when the server has answered. Without a socket there is no other way either, so that its return counts. */
  #giveTime(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const waits = !this.#link.connected || this.#restarting;
      if (waits && this.#heldFor() <= HOLD_MS) this.#giveTime();
      else this.#reoffer();
    }, RESTART_MS);
  }

  #heldFor(): number {
    const state = this.state.snapshot();
    return state.kind === "reconnecting" ? Date.now() - state.since : 0;
  }

  async #restart(pc: RTCPeerConnection): Promise<void> {
    // Without a socket there is nobody to ask; its return asks again.
    if (this.#standing === null || !this.#link.connected || this.#restarting) return;
    this.#restarting = true;
    this.#elsewhere = false;
    const restarted = await restartIce(pc, this.#link, this.#standing);
    this.#restarting = false;
    if (this.#closed || pc !== this.#pc) return;
    if (restarted.ok) {
      this.#standing = restarted.standing;
      if (this.#mending) this.#giveTime();
    } else if (restarted.gone && this.#mending) this.#reoffer();
  }

  #reoffer(): void {
    const broadcast = this.#broadcast();
    if (broadcast === null || this.#closed) return;
    const state = this.state.snapshot();
    const since = state.kind === "reconnecting" ? state.since : Date.now();
    this.state.set({ kind: "reconnecting", broadcast, since });
    if (Date.now() - since > HOLD_MS) return this.#finish("lost");
    void this.#offer();
  }

  async #offer(): Promise<void> {
    if (this.#offering || this.#closed) return;
    this.#offering = true;
    clearTimeout(this.#timer);
    this.#dropConnection();
    const pc = this.#newConnection();
    try {
      const offer = await pc.createOffer();
      const sdp = withStereo(offer.sdp ?? "");
      await pc.setLocalDescription({ type: "offer", sdp });
      const reply = await this.#link.startStream(sdp, this.#options.codec);
      if (this.#closed || pc !== this.#pc) return;
      if (!reply.ok) return this.#refused(reply.error);
      if (this.#resuming && reply.broadcast !== this.#broadcast()) {
        // It ended between the two questions; nobody asked for a new one.
        await this.#link.stopStream();
        return this.#finish("lost");
      }
      const kilobits = Math.round(this.#options.videoBitrate / 1_000 / 2);
      const answer = withStartBitrate(reply.answer, kilobits);
      await pc.setRemoteDescription({ type: "answer", sdp: answer });
      this.#standing = { session: reply.session, answer };
      this.#elsewhere = false;
      this.#pulse = new Pulse(Date.now());
      onOtherPath(pc, () => void this.#link.check());
      this.#answered(pc, reply.broadcast, codecOf(reply.answer, "video"));
    } catch (cause) {
      this.#refused({ code: "malformed_offer", detail: String(cause) });
    } finally {
      this.#offering = false;
    }
  }

  #answered(pc: RTCPeerConnection, broadcast: string, codec: string | null): void {
    this.#busySince = null;
    const settle = () => {
      if (pc !== this.#pc || this.#closed) return;
      if (pc.connectionState === "connected") {
        clearTimeout(this.#timer);
        this.#mending = false;
        this.#resuming = false;
        this.#pulse.again(Date.now());
        this.state.set({
          kind: "on-air",
          broadcast,
          codec: pc.getSenders().some((s) => s.track?.kind === "video") ? codec : null,
        });
      } else if (pc.connectionState === "closed") {
        this.#reoffer();
      } else if (pc.connectionState === "failed" || pc.connectionState === "disconnected") {
        this.#check();
        this.#mend(pc, broadcast);
      } else if (!this.#mending) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#reoffer(), CONNECT_MS);
      }
    };
    const state = this.state.snapshot();
    const since = "since" in state ? state.since : Date.now();
    if (state.kind === "reconnecting") this.state.set({ kind: "reconnecting", broadcast, since });
    else this.state.set({ kind: "connecting", since });
    this.#pending = broadcast;
    pc.onconnectionstatechange = settle;
    settle();
  }

  /** What a restart of ICE needs; null until an answer is in. */
  #standing: Standing | null = null;
  #mending = false;
  #restarting = false;
  /** The network under the connection is another one; it is to find its way there. */
  #elsewhere = false;
  /** The broadcast of an earlier page has not gone on yet. */
  #resuming: boolean;

  /** The broadcast of an answer whose connection does not stand yet. */
  #pending: string | null = null;

  /** Since when the server says that somebody else is sending. */
  #busySince: number | null = null;

  #refused(error: { code: string; detail: string }): void {
    const state = this.state.snapshot();
    if (state.kind !== "reconnecting") return this.#fail({ kind: "refused", ...error });
    // Our own dead session still holds the channel until the server has noticed; the server may be starting again.
    const busy = error.code === "channel_busy";
    this.#busySince = busy ? (this.#busySince ?? Date.now()) : null;
    if (this.#busySince !== null && Date.now() - this.#busySince > BUSY_MS) return this.#finish("taken-over");
    if (busy || ["network", "shutting_down", "full", "rate_limited"].includes(error.code)) {
      this.#timer = setTimeout(() => this.#reoffer(), AGAIN_MS);
    } else {
      this.#finish("lost");
    }
  }

  #fail(state: PublisherState): void {
    this.#dropConnection();
    this.state.set(state);
  }

  #endedByServer(broadcast: string, reason: string): void {
    if (broadcast !== this.#broadcast() && broadcast !== this.#pending) return;
    this.#finish(reason === "shutdown" ? "shutdown" : reason === "dropped" ? "lost" : "stopped");
  }

  #finish(reason: "stopped" | "lost" | "shutdown" | "taken-over"): void {
    clearTimeout(this.#timer);
    const state = this.state.snapshot();
    if (state.kind === "ended") return;
    this.#dropConnection();
    this.state.set({ kind: "ended", broadcast: this.#broadcast() ?? this.#pending ?? "", reason });
  }

  #dropConnection(): void {
    if (this.#pc) this.#pc.onconnectionstatechange = null;
    this.#pc?.close();
    this.#pc = null;
    this.#standing = null;
    this.#mending = false;
  }

  #newConnection(): RTCPeerConnection {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: this.#link.iceServers });
    this.#pc = pc;
    const { video, audio } = this.#tracks;
    if (audio) want(pc.addTransceiver(audio, { direction: "sendonly" }), CAPTURE_TIME);
    if (video) {
      const transceiver = pc.addTransceiver(video, {
        direction: "sendonly",
        sendEncodings: encodings(video.getSettings(), this.#options),
      });
      want(transceiver, CAPTURE_TIME);
      prefer(transceiver, this.#options.codec);
    }
    return pc;
  }
}

const CODECS: readonly VideoCodec[] = ["h264", "vp8", "vp9", "av1"];

/** What this browser can send, in the order in which it is offered to people. All, where the browser does not say. */
export function sendable(): VideoCodec[] {
  const known = globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs.map((c) =>
    c.mimeType.toLowerCase(),
  );
  return CODECS.filter((codec) => known === undefined || known.includes(`video/${codec}`));
}

/** Puts one codec first in the offer and keeps the rest behind it. */
function prefer(transceiver: RTCRtpTransceiver, codec: VideoCodec): void {
  const all = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const wanted = all.filter((c) => c.mimeType.toLowerCase() === `video/${codec}`);
  const rest = all.filter((c) => c.mimeType.toLowerCase() !== `video/${codec}`);
  if (wanted.length > 0 && "setCodecPreferences" in transceiver)
    transceiver.setCodecPreferences([...wanted, ...rest]);
}
