// Stand-ins for the browser's WebRTC and for the channel's socket, so that the drivers' decisions can be told as stories in
// virtual time. That the real ones behave so is shown in e2e.
import type { Ended, Link, OnAir, RestartReply, StartReply, WatchReply } from "./link";

export class FakeTrack {
  muted = true;
  onunmute: (() => void) | null = null;
  onmute: (() => void) | null = null;
  constructor(readonly kind: "audio" | "video") {}
  getSettings(): { width?: number; height?: number } {
    return this.kind === "video" ? { width: 640, height: 360 } : {};
  }
  flow(): void {
    this.muted = false;
    this.onunmute?.();
  }
}

export class FakeStream {
  tracks: FakeTrack[] = [];
  addTrack(track: FakeTrack): void {
    this.tracks.push(track);
  }
  getTracks(): FakeTrack[] {
    return this.tracks;
  }
}

type Transceiver = {
  receiver: { track: { kind: string }; getSynchronizationSources: () => object[] };
  sender: { track: FakeTrack | null; replaceTrack: (track: FakeTrack | null) => Promise<void> };
};

export class FakePeer {
  static all: FakePeer[] = [];
  static get last(): FakePeer {
    const peer = FakePeer.all[FakePeer.all.length - 1];
    if (!peer) throw new Error("no connection was made");
    return peer;
  }

  connectionState: RTCPeerConnectionState = "new";
  onconnectionstatechange: (() => void) | null = null;
  ontrack: ((event: { track: FakeTrack; receiver: object }) => void) | null = null;
  remote: string | null = null;
  closed = false;
  bytes = 0;
  /** What came by the path besides. */
  pathBytes = 0;
  /** Of the picture on the screen, as getStats says it. */
  playout: number | undefined;
  transceivers: Transceiver[] = [];

  constructor(readonly configuration: RTCConfiguration = {}) {
    FakePeer.all.push(this);
  }

  addTransceiver(what: FakeTrack | string): Transceiver {
    const track = typeof what === "string" ? null : what;
    const transceiver: Transceiver = {
      receiver: { track: { kind: track?.kind ?? String(what) }, getSynchronizationSources: () => [] },
      sender: {
        track,
        replaceTrack: async (next) => {
          transceiver.sender.track = next;
        },
      },
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }
  getTransceivers = () => this.transceivers;
  getSenders = () => this.transceivers.map((t) => t.sender);
  getReceivers = () => this.transceivers.map((t) => t.receiver);
  createOffer = async () => ({ type: "offer", sdp: "v=0\r\n" });
  setLocalDescription = async () => {};
  setRemoteDescription = async ({ sdp }: { sdp: string }) => {
    this.remote = sdp;
  };
  getStats = async () =>
    new Map<string, object>([
      ["path", { type: "transport", bytesReceived: this.bytes + this.pathBytes }],
      [
        "in",
        {
          type: "inbound-rtp",
          kind: "video",
          timestamp: Date.now(),
          bytesReceived: this.bytes,
          framesDecoded: 0,
          estimatedPlayoutTimestamp: this.playout,
        },
      ],
    ]);
  close(): void {
    this.closed = true;
    this.connectionState = "closed";
  }

  /** As the browser does when the answer is in: tracks appear, muted. */
  receive(...kinds: ("audio" | "video")[]): FakeTrack[] {
    return kinds.map((kind) => {
      const track = new FakeTrack(kind);
      this.ontrack?.({ track, receiver: {} });
      return track;
    });
  }
  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

type Handler = (...args: never[]) => void;

export class FakeLink {
  connected = false;
  iceServers: RTCIceServer[] = [];
  asked: string[] = [];
  watchReply: WatchReply = { ok: true, state: "offline", live: null, answer: null, session: null };
  startReply: StartReply = { ok: true, answer: "v=0\r\n", broadcast: "b1", resumed: false, session: "s1" };
  /** The server knows the session no longer, unless a story says otherwise. */
  restartReply: RestartReply = { ok: false, error: { code: "not_found", detail: "" } };
  #handlers = new Map<string, Set<Handler>>();

  asLink(): Link {
    return this as unknown as Link;
  }
  onConnect = (listener: () => void) => {
    if (this.connected) listener();
    return this.on("connect", listener);
  };
  onDisconnect = (listener: () => void) => this.on("disconnect", listener);
  onNetwork = (listener: () => void) => this.on("network", listener);
  check = async () => {};
  onRefused = (listener: Handler) => this.on("refused", listener);
  on = (event: string, listener: Handler) => {
    const handlers = this.#handlers.get(event) ?? new Set();
    handlers.add(listener);
    this.#handlers.set(event, handlers);
    return () => handlers.delete(listener);
  };
  /** Sessions that the server has kept for a socket that comes again. */
  kept: string[] = [];
  watch = async (ask: { offer?: string; session?: string } = {}): Promise<WatchReply> => {
    const { offer, session } = ask;
    this.asked.push(session ? `resume ${session}` : offer === undefined ? "watch" : "watch with offer");
    if (session === undefined || !this.watchReply.ok) return this.watchReply;
    return { ...this.watchReply, answer: null, session: this.kept.includes(session) ? session : null };
  };
  quality = async (height: number | null) => {
    this.asked.push(`quality ${height}`);
    return { ok: true as const };
  };
  startStream = async () => {
    this.asked.push("start");
    return this.startReply;
  };
  restartIce = async (session: string) => {
    this.asked.push(`restart ${session}`);
    return this.restartReply;
  };
  stopStream = async () => {
    this.asked.push("stop");
    return { ok: true as const };
  };

  latency = async () => ({ ok: true as const, utcMs: Date.now() });

  connect(): void {
    this.connected = true;
    this.say("connect");
  }
  disconnect(): void {
    this.connected = false;
    this.say("disconnect");
  }
  say(event: string, payload?: unknown): void {
    for (const handler of this.#handlers.get(event) ?? []) (handler as (p: unknown) => void)(payload);
  }
}

export const live = (part: Partial<OnAir> = {}): OnAir => ({
  channel: "main",
  broadcast: "b1",
  state: "live",
  startedAt: 0,
  viewers: 1,
  recording: true,
  video: "h264",
  audio: "opus",
  width: 1280,
  height: 720,
  heights: [],
  ...part,
});

export const ended = (part: Partial<Ended> = {}): Ended => ({
  channel: "main",
  broadcast: "b1",
  reason: "stopped",
  recording: "/b/b1",
  ...part,
});

/** What an answer with picture and sound looks like to the drivers. */
export const ANSWER =
  "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n";
export const ANSWER_WITHOUT_PICTURE = ANSWER.replace("m=video 9", "m=video 0");
