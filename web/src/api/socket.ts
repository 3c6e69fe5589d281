// The socket of one channel. Requests are answered by unions, never by throws; what a drop means is the caller's to decide.
import { io, type Socket } from "socket.io-client";
import {
  type Ack,
  type ClientToServerEvents,
  type ClipWanted,
  type Done,
  type IceRestarted,
  type IceServer,
  REFUSALS,
  type Requested,
  type ServerClock,
  type ServerToClientEvents,
  type StreamAnswered,
  type VideoCodec,
  type WatchAnswered,
} from "./generated/protocol";

/** A server's refusal, or no answer in time. */
export type SocketError = { code: string; detail: string };
export type Answer<T> = ({ ok: true } & T) | { ok: false; error: SocketError };
type Events = ServerToClientEvents;
export type Off = () => void;

type Untyped = { on(event: string, listener: unknown): void; off(event: string, listener: unknown): void };

const ANSWER_MS = 10_000;
/** A socket that brings no answer within this has lost its network. */
const CHECK_MS = 1_500;
const NO_ANSWER: SocketError = { code: "network", detail: "The server did not answer." };

export class ChannelSocket {
  readonly channel: string;
  #socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  #welcomed = new Set<() => void>();
  #iceServers: IceServer[] | null = null;
  #moved = new Set<() => void>();
  #checking: Promise<void> | null = null;

  constructor(options: { channel: string; streamer: boolean }) {
    this.channel = options.channel;
    this.#socket = io({
      path: "/socket.io/",
      auth: { channel: options.channel, ...(options.streamer ? { role: "streamer" } : {}) },
      // A websocket needs one round trip less; where a proxy forbids it, polling follows.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      withCredentials: true,
      forceNew: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 4_000,
    });
    this.#socket.on("disconnect", () => {
      this.#iceServers = null;
    });
    this.#socket.on("welcome", ({ iceServers }) => {
      this.#iceServers = iceServers;
      for (const listener of this.#welcomed) listener();
    });
    // A page that goes says so: the server keeps the media of a socket that dies without a word.
    window.addEventListener("pagehide", this.#leave);
    window.addEventListener("pageshow", this.#comeBack);
    window.addEventListener("online", this.#online);
  }

  #leave = () => void this.#socket.disconnect();
  #comeBack = (event: PageTransitionEvent) => {
    if (event.persisted) this.#socket.connect();
  };

  #online = () => {
    if (this.#socket.connected) void this.check();
    else {
      // Now, not when the wait for the next attempt is over.
      this.#socket.disconnect();
      this.#socket.connect();
    }
    for (const listener of this.#moved) listener();
  };

  /** The server has said all that an offer needs. */
  get connected(): boolean {
    return this.#socket.connected && this.#iceServers !== null;
  }

  /** TURN servers, if somebody runs any. */
  get iceServers(): IceServer[] {
    return this.#iceServers ?? [];
  }

  /** Calls back now if connected, and at each later connect. */
  onConnect(listener: () => void): Off {
    this.#welcomed.add(listener);
    if (this.connected) listener();
    return () => this.#welcomed.delete(listener);
  }

  onDisconnect(listener: () => void): Off {
    this.#socket.on("disconnect", listener);
    return () => this.#socket.off("disconnect", listener);
  }

  onNetwork(listener: () => void): Off {
    this.#moved.add(listener);
    return () => this.#moved.delete(listener);
  }

  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = null;
    });
    return this.#checking;
  }

  /** The server said no to the handshake; it is not tried again by itself. */
  onRefused(listener: (error: SocketError) => void): Off {
    const heard = (error: Error) => {
      const code = REFUSALS[error.message];
      if (code) listener({ code, detail: error.message });
    };
    this.#socket.on("connect_error", heard);
    return () => this.#socket.off("connect_error", heard);
  }

  on<E extends keyof Events>(event: E, listener: Events[E]): Off {
    // socket.io's own types cannot follow a generic event name.
    const socket = this.#socket as unknown as Untyped;
    socket.on(event, listener);
    return () => socket.off(event, listener);
  }

  watch(ask: { offer?: string; session?: string } = {}): Promise<Answer<WatchAnswered>> {
    return this.#ask("watch", { channel: this.channel, ...ask });
  }

  quality(height: number | null): Promise<Answer<Done>> {
    return this.#ask("quality", { height });
  }

  startStream(offer: string, codec: VideoCodec): Promise<Answer<StreamAnswered>> {
    return this.#ask("start-stream", { offer, codec });
  }

  restartIce(session: string, fragment: string): Promise<Answer<IceRestarted>> {
    return this.#ask("restart-ice", { session, fragment });
  }

  stopStream(): Promise<Answer<Done>> {
    return this.#ask("stop-stream", {});
  }

  latency(ms?: number): Promise<Answer<ServerClock>> {
    return this.#ask("latency", ms === undefined ? {} : { ms });
  }

  /** Without a range: cut here, at the next keyframe. */
  clip(wanted: ClipWanted = {}): Promise<Answer<Requested>> {
    return this.#ask("clip", wanted);
  }

  close(): void {
    window.removeEventListener("pagehide", this.#leave);
    window.removeEventListener("pageshow", this.#comeBack);
    window.removeEventListener("online", this.#online);
    this.#socket.disconnect();
  }

  async #check(): Promise<void> {
    if (!this.#socket.connected) return;
    const { engine } = this.#socket.io;
    const reply = await this.#ask("latency", {}, CHECK_MS);
    // Closed without a goodbye, since the server keeps the media of such a socket; the next one is made at once.
    if (!reply.ok && reply.error.code === "network" && engine === this.#socket.io.engine) engine.close();
  }

  async #ask<T>(
    event: keyof ClientToServerEvents,
    payload: object,
    withinMs = ANSWER_MS,
  ): Promise<Answer<T>> {
    if (!this.#socket.connected) return { ok: false, error: NO_ANSWER };
    try {
      return (await (this.#socket as unknown as Socket)
        .timeout(withinMs)
        .emitWithAck(event, payload)) as Ack<T>;
    } catch {
      if (withinMs > CHECK_MS) void this.check();
      return { ok: false, error: NO_ANSWER };
    }
  }
}
