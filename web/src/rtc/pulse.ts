// Whether a session's media comes, for how long it has not, and on whose side that is. What follows from it is the player's.

export type Beat = {
  /** Bytes of media so far. */
  bytes: number;
  /** Bytes of everything that came by the session's path so far, reports too; null where the browser does not tell. */
  path: number | null;
};

export class Pulse {
  /** Null before the first look. */
  #bytes: number | null = null;
  #path: number | null = null;
  #since: number;

  constructor(now: number) {
    this.#since = now;
  }

  /** "first": there is nothing to compare with. "flows": media has come since the last look. */
  look(beat: Beat, now: number): "first" | "flows" | "still" {
    if (beat.bytes === this.#bytes) return "still";
    const looked = this.#bytes === null ? "first" : "flows";
    this.#bytes = beat.bytes;
    this.again(now);
    return looked;
  }

  /** When media came last, or something was done about it. */
  get since(): number {
    return this.#since;
  }

  /** Something is done about it: the stillness counts from now on. */
  again(now: number): void {
    this.#since = now;
    this.#path = null;
  }

  /** At a look that finds stillness: true once the server has gone on talking meanwhile, so that it is not our path that is broken. */
  hears({ path }: Beat): boolean {
    const before = this.#path;
    this.#path ??= path;
    return before !== null && path !== null && path > before;
  }
}
