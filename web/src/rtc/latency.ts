// How late the picture on the screen is against the streamer's camera. The server's sender reports say to which moment of the server's
// clock each picture belongs; an exchange with the server says what time it is there. What is shown of it does not belong here.
import type { LatencyReply } from "./link";

/** Sender reports count from 1900. */
const NTP_TO_UNIX_MS = 2_208_988_800_000;
/** Between two exchanges: at first a few in a row, since the quickest is the best, then one now and then. */
const FIRST_MS = 500;
const THEN_MS = 10_000;
const FIRST = 4;
/** The quickest of so many newest exchanges counts: clocks drift. */
const EXCHANGES = 12;
/** The middle of so many newest samples is the figure. */
const SAMPLES = 9;
const MOST_MS = 60_000;

type Exchange = { roundTrip: number; ahead: number };

export class LatencyMeter {
  #ask: (ms?: number) => Promise<LatencyReply>;
  #exchanges: Exchange[] = [];
  #samples: number[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(ask: (ms?: number) => Promise<LatencyReply>) {
    this.#ask = ask;
  }

  /** Milliseconds from camera to screen; null while unknown. */
  get ms(): number | null {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? null;
  }

  /** Milliseconds that the server's clock is ahead of ours; null while unknown. */
  get ahead(): number | null {
    return this.#exchanges.toSorted((a, b) => a.roundTrip - b.roundTrip)[0]?.ahead ?? null;
  }

  /** The picture on the screen at `at` (UTC) is of `playout` (as getStats says, on the server's clock); null where the browser does not tell. */
  sample(playout: number | null, at: number): void {
    const wait = this.#exchanges.length < FIRST ? FIRST_MS : THEN_MS;
    if (performance.now() - this.#askedAt >= wait) void this.#exchange();
    const { ahead } = this;
    if (playout === null || ahead === null) return;
    const late = at + ahead - (playout > NTP_TO_UNIX_MS ? playout - NTP_TO_UNIX_MS : playout);
    if (late < 0 || late > MOST_MS) return;
    this.#samples = [...this.#samples, late].slice(-SAMPLES);
  }

  /** Another session: what was measured of the last one is over. */
  restart(): void {
    this.#samples = [];
  }

  async #exchange(): Promise<void> {
    this.#askedAt = performance.now();
    const before = Date.now();
    const reply = await this.#ask(this.ms ?? undefined);
    const roundTrip = performance.now() - this.#askedAt;
    if (!reply.ok) return;
    const ahead = reply.utcMs - (before + roundTrip / 2);
    this.#exchanges = [...this.#exchanges, { roundTrip, ahead }].slice(-EXCHANGES);
  }
}
