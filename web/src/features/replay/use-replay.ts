// Where the replay of a broadcast is, and the moves. Milliseconds since the broadcast began throughout.
import { type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Rewind, type RewindView } from "@/rtc/rewind";
import { Store } from "@/rtc/store";
import { FilePlayback } from "./file";

export type Source = { kind: "segments" | "file"; url: string };

export type Replaying = {
  view: RewindView;
  /** Nothing of it is there yet. */
  loading: boolean;
  positionMs: number;
  /** What can be played; of a broadcast that goes on it grows. */
  fromMs: number;
  toMs: number;
  seek: (ms: number) => void;
  step: (byMs: number) => void;
  toPart: (part: number) => void;
};

type Playback = { seek: (at: number) => void; close: () => void };

export function useReplay(
  video: RefObject<HTMLVideoElement | null>,
  source: Source,
  startedAt: number,
  startMs: number,
): Replaying {
  const [store] = useState(() => new Store<RewindView>({ kind: "off" }));
  const view = useSyncExternalStore(store.subscribe, store.snapshot);
  const playback = useRef<Playback | null>(null);
  // Another one begins where the viewer wants to be: it was played to its end, or it failed.
  const [beginning, setBeginning] = useState({ ms: startMs, attempt: 0 });
  const { kind, url } = source;
  useEffect(() => {
    if (!video.current) return;
    const at = startedAt + beginning.ms;
    const made =
      kind === "segments"
        ? new Rewind(video.current, url, at, store)
        : new FilePlayback(video.current, url, startedAt, at, store);
    playback.current = made;
    // The press that led here lets it start with sound, an address alone does not.
    if (navigator.userActivation?.hasBeenActive) void video.current.play().catch(() => {});
    return () => made.close();
  }, [video, kind, url, startedAt, beginning, store]);

  const on = view.kind === "on" ? view : null;
  const fromMs = on ? Math.max(0, on.from - startedAt) : 0;
  const toMs = on ? on.to - startedAt : 0;
  const positionMs = on ? Math.max(0, on.at - startedAt) : view.kind === "finished" ? toMs : beginning.ms;
  const seek = (ms: number) => {
    const wanted = Math.max(0, ms);
    if (on) playback.current?.seek(startedAt + Math.max(fromMs, wanted));
    else setBeginning(({ attempt }) => ({ ms: wanted, attempt: attempt + 1 }));
  };
  return {
    view,
    loading: on !== null && on.to <= on.from,
    positionMs,
    fromMs,
    toMs,
    seek,
    step: (byMs) => seek(positionMs + byMs),
    toPart: (part) => seek(fromMs + part * (toMs - fromMs)),
  };
}
