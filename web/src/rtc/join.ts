// One viewing session: a peer connection that only receives. Its offer exists before anything is known about the channel, so
// that it can be sent with the first message. A session is used once; `Player` makes the next one.
import { CAPTURE_TIME, captured, DEPENDENCIES, want } from "./extensions";
import { heard, onOtherPath, restartIce, type Standing } from "./ice";
import type { Link } from "./link";
import type { Beat } from "./pulse";
import { carries, withStereo } from "./sdp";

export type Joined = { ok: true } | { ok: false; reason: "codec" | "answer" };

export type Progress = Beat & { frames: number; playout: number | null; at: number };

export class Join {
  readonly stream = new MediaStream();
  readonly offer: Promise<string | null>;
  readonly createdAt = performance.now();
  #pc: RTCPeerConnection;
  #standing: Standing | null = null;
  #restarting = false;

  #moved: () => void;

  /** `moved`: media goes by another path now. */
  constructor(
    changed: () => void,
    moved: () => void,
    readonly iceServers: RTCIceServer[],
  ) {
    this.#moved = moved;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers });
    this.#pc = pc;
    want(pc.addTransceiver("audio", { direction: "recvonly" }), CAPTURE_TIME);
    // Without dependency descriptors AV1 in spatial layers cannot be played.
    want(pc.addTransceiver("video", { direction: "recvonly" }), CAPTURE_TIME, DEPENDENCIES);
    pc.ontrack = ({ track, receiver }) => {
      // The least delay the network allows; NACK still has the server's round trip to work with.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.stream.addTrack(track);
      track.onunmute = changed;
      track.onmute = changed;
    };
    pc.onconnectionstatechange = changed;
    this.offer = this.#createOffer();
  }

  get connection(): RTCPeerConnectionState {
    return this.#pc.connectionState;
  }

  /** By which a later socket names this connection; null before the answer is in. */
  get session(): string | null {
    return this.#standing?.session ?? null;
  }

  /** Media has arrived for this kind and goes on arriving. */
  flows(kind: "audio" | "video"): boolean {
    return this.stream.getTracks().some((track) => track.kind === kind && !track.muted);
  }

  /** `expects.video`: the codec on air, null when there is no picture. An answer lists all codecs in common, which need not have that one. */
  async accept(standing: Standing, expects: { video: string | null }): Promise<Joined> {
    if (expects.video !== null && !carries(standing.answer, "video", expects.video))
      return { ok: false, reason: "codec" };
    try {
      await this.#pc.setRemoteDescription({ type: "answer", sdp: standing.answer });
      this.#standing = standing;
      onOtherPath(this.#pc, this.#moved);
      return { ok: true };
    } catch {
      return { ok: false, reason: "answer" };
    }
  }

  /** The network under this session has changed: looks for another path. One attempt at a time. */
  async restartIce(link: Link): Promise<void> {
    if (this.#standing === null || this.#restarting) return;
    this.#restarting = true;
    const restarted = await restartIce(this.#pc, link, this.#standing);
    if (restarted.ok) this.#standing = restarted.standing;
    this.#restarting = false;
  }

  /**
   * Bytes received and pictures decoded so far; which moment of the server's clock is played `at` this one of ours, where the browser tells: by the time of
   * capture that came with the picture, else by the server's reports.
   */
  async progress(): Promise<Progress> {
    const stats = await this.#pc.getStats();
    const total: Progress = { bytes: 0, path: heard(stats), frames: 0, playout: null, at: 0 };
    for (const report of stats.values()) {
      if (report.type !== "inbound-rtp") continue;
      total.bytes += Number(report.bytesReceived ?? 0);
      total.frames += Number(report.framesDecoded ?? 0);
      const playout = report.estimatedPlayoutTimestamp;
      // The picture's where there is one.
      if (typeof playout === "number" && (total.playout === null || report.kind === "video")) {
        total.playout = playout;
        total.at = Number(report.timestamp);
      }
    }
    const picture = this.#pc.getReceivers().find(({ track }) => track.kind === "video");
    const told = picture ? captured(picture) : null;
    return told === null ? total : { ...total, playout: told.taken, at: told.at };
  }

  close(): void {
    this.#pc.ontrack = null;
    this.#pc.onconnectionstatechange = null;
    for (const track of this.stream.getTracks()) {
      track.onunmute = null;
      track.onmute = null;
    }
    this.#pc.close();
  }

  async #createOffer(): Promise<string | null> {
    try {
      const offer = await this.#pc.createOffer();
      const sdp = withStereo(offer.sdp ?? "");
      await this.#pc.setLocalDescription({ type: "offer", sdp });
      return sdp;
    } catch {
      return null;
    }
  }
}
