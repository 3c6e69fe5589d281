// A real S3 server and a real database that speaks MongoDB's protocol, each a process of its own (scripts/install-test-tools.sh).
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { freeTcpPort } from "./server";

const BUCKET = "oxbow-e2e";

export class Stores {
  readonly #folder = mkdtempSync(join(tmpdir(), "oxbow-e2e-stores-"));
  readonly #children: ChildProcess[] = [];
  readonly env: Record<string, string> = {};

  static async start(): Promise<Stores> {
    const stores = new Stores();
    const s3 = await freeTcpPort();
    mkdirSync(join(stores.#folder, "s3", BUCKET), { recursive: true });
    await stores.#run("s3s-fs", s3, [
      ...["--host", "127.0.0.1", "--port", String(s3)],
      ...["--access-key", "OXBOWE2E", "--secret-key", "oxbow-e2e-secret"],
      join(stores.#folder, "s3"),
    ]);
    const mongo = await freeTcpPort();
    const rows = join(stores.#folder, "mongo");
    mkdirSync(rows);
    await stores.#run("ferretdb", mongo, [
      ...["--handler=sqlite", "--telemetry=disable", "--debug-addr=-", "--log-level=ERROR"],
      ...[`--listen-addr=127.0.0.1:${mongo}`, `--sqlite-url=file:${rows}/`, `--state-dir=${rows}`],
    ]);
    Object.assign(stores.env, {
      FILE_HOST: `http://127.0.0.1:${s3}`,
      REGION: "us-east-1",
      S3_BUCKET: BUCKET,
      STORJ_SECRET_ACCESS_ID: "OXBOWE2E",
      STORJ_SECRET_ACCESS_KEY: "oxbow-e2e-secret",
      MONGO_HOST: `mongodb://127.0.0.1:${mongo}`,
    });
    return stores;
  }

  /** Starts a program and waits until it listens. */
  async #run(name: string, port: number, args: string[]): Promise<void> {
    const program = join(process.env.OXBOW_TOOLS ?? join(homedir(), ".cache/oxbow/bin"), name);
    if (!existsSync(program)) throw new Error(`${name} is missing: run scripts/install-test-tools.sh`);
    const child = spawn(program, args, { stdio: "ignore" });
    this.#children.push(child);
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
      if (await listens(port)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${name} does not listen`);
  }

  async remove(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
