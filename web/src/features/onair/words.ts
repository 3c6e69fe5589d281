import type { Clip, Live } from "@/api/generated/protocol";
import { m } from "@/messages";

/** "12 watching", or "listening" to what has no picture. */
export function audience(live: Live): string {
  return live.video === null && live.audio !== null
    ? m.count.listening(live.viewers)
    : m.count.watching(live.viewers);
}

/** The picture that stands for a broadcast: the first frame of its newest clip. */
export function newestPoster(clips: readonly Clip[]): string | null {
  return clips.find((clip) => clip.poster !== null)?.poster ?? null;
}
