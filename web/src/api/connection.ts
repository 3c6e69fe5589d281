// Whether the server can be reached. When it cannot, asks /healthz again after 2, 4, 8 and then every 15 seconds.

export type Connection = { online: true } | { online: false; since: number; retryAt: number };

const WAITS_MS = [2_000, 4_000, 8_000, 15_000];

class ConnectionWatch {
  #now: Connection = { online: true };
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;

  /** A request got no answer. */
  lost(): void {
    if (!this.#now.online) return;
    this.#attempt = 0;
    this.#wait(Date.now());
  }

  /** A request got an answer, whatever it said. */
  works(): void {
    clearTimeout(this.#timer);
    if (!this.#now.online) this.#set({ online: true });
  }

  /** Asks at once, without waiting for the next attempt. */
  retry(): void {
    if (!this.#now.online) void this.#probe(this.#now.since);
  }

  snapshot = (): Connection => this.#now;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #wait(since: number): void {
    const wait = WAITS_MS[Math.min(this.#attempt, WAITS_MS.length - 1)] ?? 15_000;
    this.#attempt += 1;
    this.#set({ online: false, since, retryAt: Date.now() + wait });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#probe(since), wait);
  }

  async #probe(since: number): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await fetch("/healthz", { cache: "no-store" });
      this.works();
    } catch {
      this.#wait(since);
    }
  }

  #set(next: Connection): void {
    this.#now = next;
    for (const listener of this.#listeners) listener();
  }
}

export const connection = new ConnectionWatch();

if (typeof window !== "undefined") {
  window.addEventListener("offline", () => connection.lost());
  window.addEventListener("online", () => connection.retry());
}
