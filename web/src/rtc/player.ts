// Watches one channel: asks the server, plays what it answers, keeps trying, and says in one union where things stand.
//
// The rules: a new viewing session takes over only when its media flows, so that the picture never goes away for it; no media for
// a second is said, for four seconds it is joined anew; a new session that stands but brings nothing means that the streamer is
// gone, not us; what the server announces (started, interrupted, ended) always wins.
// What is shown for a state does not belong here.
import { Join } from "./join";
import { LatencyMeter } from "./latency";
import type { Ended, Link, Off, OnAir } from "./link";
import { NOTHING_YET, type PlayerState, type PlayerView } from "./player-view";
import { Pulse } from "./pulse";
import { Store } from "./store";

const STALL_MS = 1_000;
const REJOIN_MS = 4_000;
/** A session that stands brings its first media within this. */
const SILENT_MS = 2_000;
/** Media that was on its way when the streamer was declared gone. */
const TRAILING_MS = 1_500;
const REJOIN_WAITS_MS = [0, 1_000, 2_000, 4_000, 8_000];
/** Finer than this nobody reads it. Rounded up: no picture is there at once. */
const LATENCY_STEP_MS = 50;
/** An unanswered offer is made anew when it is older: its candidates may be of another network. */
const OFFER_GOOD_MS = 120_000;

export class Player {
  readonly view = new Store<PlayerView>(NOTHING_YET);
  #link: Link;
  #offs: Off[];
  /** A session that is not shown yet. Made early only for the first picture, else when it is needed. */
  #next: Join | null = null;
  #current: Join | null = null;
  #closed = false;
  #asking = false;
  #askAgain = false;
  /** The socket is a new one: the session that plays is to become its own. */
  #resume = false;
  #attempt = 0;
  #rejoinTimer: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setInterval>;
  #pulse = new Pulse(0);
  /** That the streamer is gone is our own conclusion; the server has not said so. */
  #guessed = false;
  /** The network under the session that plays is another one; it is to find its way there. */
  #elsewhere = false;
  #latency: LatencyMeter;

  constructor(link: Link) {
    this.#link = link;
    this.#latency = new LatencyMeter((ms) => link.latency(ms));
    this.#prepared();
    this.#offs = [
      link.onConnect(() => {
        this.#resume = true;
        void this.#ask();
      }),
      link.onDisconnect(() => this.#lostServer()),
      link.onNetwork(() => this.#moved()),
      link.onRefused((error) => this.#set({ kind: "refused", ...error })),
      link.on("stream-started", ({ live, resumed }) => this.#started(live, resumed)),
      link.on("stream-interrupted", ({ broadcast }) => this.#interrupted(broadcast)),
      link.on("stream-ended", (ended) => this.#ended(ended)),
      link.on("layers", ({ heights }) => this.view.set({ ...this.#view, heights })),
      link.on("pictures", ({ paused }) => this.view.set({ ...this.#view, picturesPaused: paused })),
      link.on("viewers", ({ count }) => this.view.set({ ...this.#view, viewers: count })),
    ];
    this.#watchdog = setInterval(() => void this.#watch(), 500);
  }

  /** The picture is on the screen (or, without a picture, the sound is there). */
  shown(): void {
    const state = this.#state;
    if (state.kind === "joining" || state.kind === "reconnecting" || state.kind === "interrupted") {
      this.#set({ kind: "live", live: state.live });
    }
    this.#attempt = 0;
  }

  /** Which size of the picture to play; holds for later sessions too. */
  choose(quality: number | null): void {
    this.view.set({ ...this.#view, quality });
    void this.#link.quality(quality);
  }

  /** UTC milliseconds on the server's clock, as far as it is known. */
  get serverNow(): number {
    return Date.now() + (this.#latency.ahead ?? 0);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#watchdog);
    clearTimeout(this.#rejoinTimer);
    for (const off of this.#offs) off();
    this.#next?.close();
    this.#current?.close();
  }

  get #view(): PlayerView {
    return this.view.snapshot();
  }

  get #state(): PlayerState {
    return this.#view.state;
  }

  #set(state: PlayerState): void {
    this.view.set({ ...this.#view, state });
  }

  #prepared(): Join {
    if (this.#next !== null && performance.now() - this.#next.createdAt > OFFER_GOOD_MS) this.#discardNext();
    const { iceServers } = this.#link;
    // An offer made before the server had named its TURN servers could not use them.
    if (iceServers.length > 0 && this.#next?.iceServers !== iceServers) this.#discardNext();
    if (this.#next === null) {
      const moved = () => void this.#link.check();
      const join: Join = new Join(() => this.#mediaChanged(join), moved, iceServers);
      this.#next = join;
    }
    return this.#next;
  }

  /** One question at a time; a question asked meanwhile is asked afterwards, once. */
  async #ask(): Promise<void> {
    if (this.#closed) return;
    if (this.#asking) {
      this.#askAgain = true;
      return;
    }
    this.#asking = true;
    await this.#askOnce();
    this.#asking = false;
    if (this.#askAgain) {
      this.#askAgain = false;
      void this.#ask();
    }
  }

  async #askOnce(): Promise<void> {
    const resume = this.#resume;
    this.#resume = false;
    if (resume && (await this.#goOn())) return;
    if (this.#closed) return;
    const join = this.#prepared();
    const offer = await join.offer;
    if (this.#closed || !this.#link.connected) return;
    const reply = await this.#link.watch(offer === null ? {} : { offer });
    if (this.#closed) return;
    if (!reply.ok) return this.#refused(reply.error);
    if (reply.live === null) {
      this.#current?.close();
      this.#current = null;
      if (this.#state.kind !== "ended") this.#set({ kind: "waiting" });
      return;
    }
    this.view.set({ ...this.#view, viewers: reply.live.viewers, heights: reply.live.heights });
    if (reply.answer === null) return this.#onAirWithoutAnswer(reply.live);
    // What was said of the session before.
    this.view.set({ ...this.#view, picturesPaused: false });
    if (this.#view.stream === null) this.#set({ kind: "joining", live: reply.live, since: Date.now() });
    else this.#set({ kind: "reconnecting", live: reply.live, since: this.#since() });
    // The session is new and knows nothing of the choice.
    if (this.#view.quality !== null) void this.#link.quality(this.#view.quality);
    const standing = { session: reply.session ?? "", answer: reply.answer };
    const joined = await join.accept(standing, { video: reply.live.video });
    if (this.#closed || join !== this.#next) return;
    if (!joined.ok) {
      this.#discardNext();
      if (joined.reason === "codec") this.#set({ kind: "unplayable", live: reply.live });
      else this.#rejoin();
    } else {
      if (this.#view.stream === null) this.#take(join);
      if (reply.live.state === "reconnecting") this.#interrupted(reply.live.broadcast);
    }
  }

  /** The media has not needed the socket. False when the server does not know the session any more, or there is none. */
  async #goOn(): Promise<boolean> {
    const join = this.#current;
    const session = join?.session ?? null;
    if (join === null || session === null || join.connection === "failed" || join.connection === "closed")
      return false;
    const reply = await this.#link.watch({ session });
    if (this.#closed || join !== this.#current) return true;
    // The next socket asks again; media that stands still is the watchdog's.
    if (!reply.ok && reply.error.code === "network") return true;
    if (!reply.ok || reply.live === null || reply.session !== session) return false;
    this.view.set({ ...this.#view, viewers: reply.live.viewers, heights: reply.live.heights });
    if (reply.live.state === "reconnecting") this.#interrupted(reply.live.broadcast);
    else if (this.#elsewhere || join.connection !== "connected" || this.#state.kind === "reconnecting")
      this.#restart(join);
    return true;
  }

  #onAirWithoutAnswer(live: OnAir): void {
    if (live.state === "reconnecting") this.#set({ kind: "interrupted", live, since: Date.now() });
    else if (live.video !== null) this.#set({ kind: "unplayable", live });
    else this.#rejoin();
  }

  #refused(error: { code: string; detail: string }): void {
    if (error.code === "network") return this.#rejoin();
    if (error.code === "no_common_codec") {
      const live = "live" in this.#state ? this.#state.live : null;
      if (live !== null) return this.#set({ kind: "unplayable", live });
    }
    if (error.code === "not_live") return this.#set({ kind: "waiting" });
    this.#set({ kind: "refused", ...error });
  }

  #started(live: OnAir, resumed: boolean): void {
    const same = "live" in this.#state && this.#state.live.broadcast === live.broadcast;
    this.view.set({ ...this.#view, viewers: live.viewers, heights: live.heights });
    if (resumed && same && this.#current?.connection === "connected") {
      // The server goes on feeding this session; if it does not, the watchdog joins anew.
      this.#pulse.again(Date.now());
      this.#set({ kind: "reconnecting", live, since: Date.now() });
      return;
    }
    this.#drop();
    this.#set({ kind: "joining", live, since: Date.now() });
    void this.#ask();
  }

  #interrupted(broadcast: string): void {
    const state = this.#state;
    if (!("live" in state) || state.live.broadcast !== broadcast) return;
    this.#guessed = false;
    if (state.kind === "interrupted") return;
    this.#set({ kind: "interrupted", live: state.live, since: Date.now() });
  }

  #ended(ended: Ended): void {
    clearTimeout(this.#rejoinTimer);
    this.#set({ kind: "ended", ended });
    this.#current?.close();
    this.#current = null;
    this.#discardNext();
  }

  #lostServer(): void {
    // The picture may well go on without the socket; the watchdog says so if it does not.
    this.#discardNext();
  }

  #moved(): void {
    this.#elsewhere = this.#current !== null;
    if (this.#current !== null && this.#link.connected) this.#restart(this.#current);
  }

  /** The session may go on by another path; if it does not, the watchdog joins anew. */
  #restart(join: Join): void {
    this.#elsewhere = false;
    this.#pulse.again(Date.now());
    void join.restartIce(this.#link);
  }

  #mediaChanged(join: Join): void {
    if (this.#closed) return;
    if (join === this.#next && join !== this.#current) {
      if (this.#flows(join)) this.#take(join);
      else if (join.connection === "connected") setTimeout(() => this.#silent(join), SILENT_MS);
    }
    if (join !== this.#current) return;
    if (join.connection === "failed" || join.connection === "closed") this.#rejoin();
    else if (join.connection === "disconnected") this.#restart(join);
    else if (this.#flows(join) && !this.#expectsVideo()) this.shown();
  }

  /** Our side is well again and still nothing comes: it is the streamer who is gone. What comes later comes by this session. */
  #silent(join: Join): void {
    if (this.#closed || join !== this.#next || this.#state.kind !== "reconnecting") return;
    if (join.connection !== "connected") return;
    this.#take(join);
    this.#set({ kind: "interrupted", live: this.#state.live, since: Date.now() });
  }

  #expectsVideo(): boolean {
    return "live" in this.#state && this.#state.live.video !== null;
  }

  #flows(join: Join): boolean {
    return join.flows(this.#expectsVideo() ? "video" : "audio");
  }

  /** Makes a session the one that is shown. */
  #take(join: Join): void {
    const old = this.#current;
    this.#current = join;
    this.#next = null;
    this.#pulse = new Pulse(Date.now());
    this.#elsewhere = false;
    this.#latency.restart();
    this.view.set({ ...this.#view, stream: join.stream, latencyMs: null });
    old?.close();
  }

  #drop(): void {
    this.#current?.close();
    this.#current = null;
    this.view.set({ ...this.#view, stream: null, picturesPaused: false });
  }

  #discardNext(): void {
    this.#next?.close();
    this.#next = null;
  }

  #since(): number {
    return this.#state.kind === "reconnecting" ? this.#state.since : Date.now();
  }

  #rejoin(): void {
    clearTimeout(this.#rejoinTimer);
    const wait = REJOIN_WAITS_MS[Math.min(this.#attempt, REJOIN_WAITS_MS.length - 1)] ?? 8_000;
    this.#attempt += 1;
    this.#rejoinTimer = setTimeout(() => void this.#ask(), wait);
  }

  #measure(playout: number | null, at: number): void {
    this.#latency.sample(playout, at);
    const { ms } = this.#latency;
    const latencyMs = ms === null ? null : Math.max(1, Math.ceil(ms / LATENCY_STEP_MS)) * LATENCY_STEP_MS;
    if (latencyMs !== this.#view.latencyMs) this.view.set({ ...this.#view, latencyMs });
  }

  async #watch(): Promise<void> {
    const join = this.#current;
    const state = this.#state;
    if (join === null || !["joining", "live", "reconnecting", "interrupted"].includes(state.kind)) return;
    const progress = await join.progress();
    if (this.#closed || join !== this.#current || !("live" in this.#state)) return;
    if (this.#state.kind === "live") this.#measure(progress.playout, progress.at);
    const now = Date.now();
    const looked = this.#pulse.look(progress, now);
    if (looked === "still")
      return this.#still(this.#state, now - this.#pulse.since, this.#pulse.hears(progress));
    const { kind } = this.#state;
    const told = kind === "interrupted" && !this.#guessed;
    const back = kind === "reconnecting" || kind === "interrupted";
    if (looked === "flows" && back && !(told && now - this.#state.since <= TRAILING_MS)) this.shown();
  }

  /** No media for so long. `heard`: the server goes on talking to us. */
  #still(state: PlayerState & { live: OnAir }, forMs: number, heard: boolean): void {
    if (state.kind === "interrupted" && !this.#guessed) return;
    const { live } = state;
    if (heard && state.kind === "reconnecting") {
      this.#guessed = true;
      this.#set({ kind: "interrupted", live, since: state.since });
    } else if (state.kind === "live" && forMs > STALL_MS) {
      this.#set({ kind: "reconnecting", live, since: this.#pulse.since });
      void this.#link.check();
    }
    // Without the server nothing can be done but wait.
    if (forMs > REJOIN_MS && this.#link.connected) {
      this.#pulse.again(Date.now());
      this.#discardNext();
      this.#rejoin();
    }
  }
}
