// `bench relay`: a network that loses, delays and reorders as its seed says, between browsers and the server.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

type Direction = { datagrams: number; bytes: number; lost: number; reordered: number; duplicated: number };
export type RelayReport = { flows: number; refused: number; up: Direction; down: Direction };

/** Percent and milliseconds; see `bench relay --help`. */
export type Conditions = {
  seed: number;
  loss?: number;
  delay?: number;
  jitter?: number;
  reorder?: number;
  /** Kilobits per second from the server. */
  down?: number;
};

export class Relay {
  /** Address and port that are to be announced. */
  readonly address: string;
  #process: ChildProcess;
  #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string>, address: string) {
    this.#process = process;
    this.#lines = lines;
    this.address = address;
  }

  /** `listen` and `to` are addresses with ports; port 0 takes a free one. */
  static async start(listen: string, to: string, conditions: Conditions): Promise<Relay> {
    const program = process.env.BENCH_BIN;
    if (!program) throw new Error("BENCH_BIN must be the path of the bench binary");
    const options = Object.entries(conditions).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn(program, ["relay", "--listen", listen, "--to", to, ...options], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error("bench relay ended at once");
    const { listening } = JSON.parse(first.value) as { listening: string };
    return new Relay(child, lines, listening);
  }

  /** From now on so many kilobits per second reach each browser; 0: no limit. */
  limit(down: number): void {
    this.#process.stdin?.write(`down ${down}\n`);
  }

  /** Ends the relay and says what it did. */
  async end(): Promise<RelayReport> {
    const ended = once(this.#process, "exit");
    this.#process.stdin?.end();
    const last = await this.#lines.next();
    await ended;
    if (last.done) throw new Error("bench relay said nothing at its end");
    return JSON.parse(last.value) as RelayReport;
  }

  /** Where the report does not matter any more. */
  kill(): void {
    this.#process.kill();
  }
}
