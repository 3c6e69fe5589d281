// What the drivers need from signalling, as shapes of their own: the drivers know neither socket.io nor the REST client.

export type Off = () => void;
export type Refused = { ok: false; error: { code: string; detail: string } };
export type VideoCodec = "h264" | "vp8" | "vp9" | "av1";

/** A channel that is on air. */
export type OnAir = {
  channel: string;
  broadcast: string;
  state: "live" | "reconnecting";
  /** UTC milliseconds. */
  startedAt: number;
  viewers: number;
  recording: boolean;
  video: string | null;
  audio: string | null;
  width: number;
  height: number;
  /** Pictures to choose from, the largest first; empty where there is no choice. */
  heights: readonly number[];
};

export type WatchReply =
  | {
      ok: true;
      state: "live" | "reconnecting" | "offline";
      live: OnAir | null;
      answer: string | null;
      /** The one that was asked for: it goes on. */
      session: string | null;
    }
  | Refused;

export type StartReply =
  | { ok: true; answer: string; broadcast: string; resumed: boolean; session: string }
  | Refused;

export type RestartReply = { ok: true; fragment: string } | Refused;

export type LatencyReply = { ok: true; utcMs: number } | Refused;

export type Ended = { channel: string; broadcast: string; reason: string; recording: string | null };

/** Both drivers' view of the channel's socket. */
export interface Link {
  readonly connected: boolean;
  readonly iceServers: RTCIceServer[];
  onConnect(listener: () => void): Off;
  onDisconnect(listener: () => void): Off;
  onRefused(listener: (error: { code: string; detail: string }) => void): Off;
  /** The browser is on a network again, perhaps on another than before. */
  onNetwork(listener: () => void): Off;
  /** Finds out whether the socket still reaches the server, and replaces it if not. Sockets themselves notice late. */
  check(): Promise<void>;
  /** With an offer: plays what is on air. With the session of a connection that stands: it goes on, and now belongs to this socket. */
  watch(ask?: { offer?: string; session?: string }): Promise<WatchReply>;
  /** None higher than this; null: the best that the network carries. */
  quality(height: number | null): Promise<{ ok: true } | Refused>;
  startStream(offer: string, codec: VideoCodec): Promise<StartReply>;
  restartIce(session: string, fragment: string): Promise<RestartReply>;
  stopStream(): Promise<{ ok: true } | Refused>;
  /** Tells how late the picture is, and asks for the server's clock. */
  latency(ms?: number): Promise<LatencyReply>;
  on(event: "stream-started", listener: (payload: { live: OnAir; resumed: boolean }) => void): Off;
  on(event: "stream-interrupted", listener: (payload: { channel: string; broadcast: string }) => void): Off;
  on(event: "stream-ended", listener: (payload: Ended) => void): Off;
  on(event: "layers", listener: (payload: { channel: string; heights: number[] }) => void): Off;
  on(event: "pictures", listener: (payload: { paused: boolean }) => void): Off;
  on(event: "viewers", listener: (payload: { channel: string; count: number }) => void): Off;
  on(event: "taken-over", listener: () => void): Off;
}
