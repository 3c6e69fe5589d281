// A device of its own with two ways to the server, "Wi-Fi" and "mobile": a network namespace and two veth pairs, inside the one that scripts/network.sh made.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The last number of the networks' addresses differs by device. */
let devices = 0;

export type Way = "wifi" | "mobile";

export class Device {
  #holder: ChildProcess;
  #folder = mkdtempSync(join(tmpdir(), "oxbow-device-"));
  #number: number;
  #ways: Way[] = [];

  private constructor(holder: ChildProcess, number: number) {
    this.#holder = holder;
    this.#number = number;
  }

  static async start(): Promise<Device> {
    // What keeps the namespace: it ends with its input, which ends with us.
    const holder = spawn("unshare", ["--net", "cat"], { stdio: ["pipe", "ignore", "inherit"] });
    await once(holder, "spawn");
    await apart(holder);
    devices += 1;
    const device = new Device(holder, devices);
    device.#inside("ip", "link", "set", "lo", "up");
    return device;
  }

  /** A program that runs `path` on this device. */
  program(path: string): string {
    const wrapper = join(this.#folder, "run");
    const net = `--net=/proc/${this.#holder.pid}/ns/net`;
    writeFileSync(wrapper, `#!/bin/sh\nexec nsenter ${net} ${path} "$@"\n`);
    chmodSync(wrapper, 0o755);
    return wrapper;
  }

  /** Another network is there, with an address and a way to the server. */
  find(way: Way): void {
    this.#connect(way);
  }

  /** The interface goes: its address and its routes with it. Nothing tells the other end. */
  lose(way: Way): void {
    this.#inside("ip", "address", "flush", "dev", way);
    this.#inside("ip", "link", "set", way, "down");
  }

  async remove(): Promise<void> {
    // The kernel takes its time to bury a namespace, and the next device uses the same names.
    for (const way of this.#ways) run("ip", "link", "delete", `${way}${this.#number}`);
    const ended = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #connect(way: Way): void {
    const network = way === "wifi" ? 1 : 2;
    this.#ways.push(way);
    const ours = `${way}${this.#number}`;
    const address = (host: number) => `10.${78 + this.#number}.${network}.${host}`;
    run("ip", "link", "add", ours, "type", "veth", "peer", "name", way, "netns", String(this.#holder.pid));
    run("ip", "address", "add", `${address(1)}/24`, "dev", ours);
    run("ip", "link", "set", ours, "up");
    this.#inside("ip", "address", "add", `${address(2)}/24`, "dev", way);
    this.#inside("ip", "link", "set", way, "up");
    const metric = String(100 * network);
    this.#inside("ip", "route", "add", "default", "via", address(1), "dev", way, "metric", metric);
  }

  #inside(program: string, ...args: string[]): void {
    run("nsenter", `--net=/proc/${this.#holder.pid}/ns/net`, program, ...args);
  }
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });
}

/** unshare has done its work. */
async function apart(holder: ChildProcess): Promise<void> {
  const own = readlinkSync("/proc/self/ns/net");
  while (readlinkSync(`/proc/${holder.pid}/ns/net`) === own) {
    if (holder.exitCode !== null) throw new Error("a network namespace could not be made");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
