// What a player shows. How it comes to that does not belong here.
import type { Ended, OnAir } from "./link";

export type PlayerState =
  | { kind: "connecting" }
  /** Nothing on air; starts by itself. */
  | { kind: "waiting" }
  | { kind: "joining"; live: OnAir; since: number }
  | { kind: "live"; live: OnAir }
  /** Our own connection is bad. */
  | { kind: "reconnecting"; live: OnAir; since: number }
  /** The streamer is gone and may come back. */
  | { kind: "interrupted"; live: OnAir; since: number }
  | { kind: "ended"; ended: Ended }
  /** The browser has no decoder for the picture. */
  | { kind: "unplayable"; live: OnAir }
  | { kind: "refused"; code: string; detail: string };

export type PlayerView = {
  state: PlayerState;
  stream: MediaStream | null;
  viewers: number | null;
  /** Heights to choose from, the largest first; empty where there is no choice. */
  heights: readonly number[];
  /** The viewer's choice: none higher; null is the best that the network carries. */
  quality: number | null;
  latencyMs: number | null;
  /** The viewer's network carries only the sound; the picture returns by itself. */
  picturesPaused: boolean;
};

/** What a player shows before it has heard anything. */
export const NOTHING_YET: PlayerView = {
  state: { kind: "connecting" },
  stream: null,
  viewers: null,
  heights: [],
  quality: null,
  latencyMs: null,
  picturesPaused: false,
};
