// The real server, on free ports and a data folder of its own.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const KEY = "e2e-key-that-nobody-else-has";

const CHECKOUT = fileURLToPath(new URL("../../..", import.meta.url));

function binary(): string {
  const path = process.env.OXBOW_BIN;
  if (!path) throw new Error("OXBOW_BIN must be the path of the oxbow binary");
  return path;
}

export class Oxbow {
  readonly url: string;
  readonly dataDir = mkdtempSync(join(tmpdir(), "oxbow-e2e-"));
  #env: Record<string, string>;
  #process: ChildProcess | null = null;
  #log: string[] = [];

  private constructor(port: number, peerPort: number, env: Record<string, string>) {
    this.url = `http://127.0.0.1:${port}`;
    this.#env = {
      PORT: String(port),
      PEER_PORT: String(peerPort),
      DATA_DIR: this.dataDir,
      STREAM_KEY: KEY,
      CLIP_LENGTH: "5",
      // What these stories look at is seen by all; who may see what is not for all has stories of its own.
      CLIP_VISIBILITY: "published",
      ENVIRONMENT: "dev",
      ...env,
    };
  }

  static async start(env: Record<string, string> = {}): Promise<Oxbow> {
    const oxbow = new Oxbow(await freeTcpPort(), await freeMediaPort(), env);
    await oxbow.up();
    return oxbow;
  }

  /** What the process has written so far. */
  get log(): string {
    return this.#log.join("");
  }

  async up(): Promise<void> {
    const child = spawn(binary(), ["serve"], {
      cwd: CHECKOUT,
      env: this.#environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stdout?.on("data", (chunk) => this.#log.push(String(chunk)));
    child.stderr?.on("data", (chunk) => this.#log.push(String(chunk)));
    const deadline = Date.now() + 20_000;
    while (Date.now() < deadline) {
      if (child.exitCode !== null) throw new Error(`oxbow ended with ${child.exitCode}:\n${this.log}`);
      const answer = await fetch(`${this.url}/healthz`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`oxbow did not come up:\n${this.log}`);
  }

  #environment(): Record<string, string> {
    return { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...this.#env };
  }

  /** SIGTERM, and its end awaited. */
  async down(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Runs another command of the binary on the same data folder, such as `check`, to its end. */
  run(command: string): { status: number | null; output: string } {
    const ended = spawnSync(binary(), [command], {
      cwd: CHECKOUT,
      env: this.#environment(),
      encoding: "utf8",
    });
    return { status: ended.status, output: ended.stdout + ended.stderr };
  }

  /** Numbered pictures and a beep through WHIP, for so many seconds; settles when they were sent. */
  async publish(channel: string, codec: string, seconds: number): Promise<void> {
    const args = ["publish", "--url", `${this.url}/whip/${channel}`, "--key", KEY];
    const child = spawn(binary(), [...args, "--codec", codec, "--seconds", String(seconds)], {
      env: this.#environment(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said: string[] = [];
    child.stderr?.on("data", (chunk) => said.push(String(chunk)));
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`oxbow publish ended with ${code}:\n${said.join("")}`);
  }

  async remove(): Promise<void> {
    await this.down();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** A REST answer, with the key. */
  async api<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await fetch(`${this.url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${KEY}`, ...(init.headers as Record<string, string>) },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

export async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Free for both transports. */
export async function freeMediaPort(): Promise<number> {
  for (;;) {
    const port = await freeTcpPort();
    const socket = createSocket("udp4");
    const bound = new Promise<boolean>((resolve) => {
      socket.once("listening", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.bind(port, "127.0.0.1");
    const free = await bound;
    socket.close();
    if (free) return port;
  }
}
