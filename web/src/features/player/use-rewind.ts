// Rewinding the broadcast that the page is about: what can be done, where the viewer is, and the moves. The live connection stays open meanwhile: it costs its rate
// once more, and for that going back is immediate and the page goes on knowing what happens.
import { type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { m } from "@/messages";
import type { OnAir } from "@/rtc/link";
import type { PlayerView } from "@/rtc/player-view";
import type { RewindView } from "@/rtc/rewind";
import { codecName } from "@/ui/format";
import { toast } from "@/ui/toast";
import type { Behind, Span } from "./deck";
import type { Screen } from "./screen";
import type { Seat } from "./use-player";

/** Nothing newer than this is asked for: it is not recorded yet. */
const EDGE_MS = 3_000;
/** A pause this short goes on at the live edge. */
const BLINK_MS = 1_500;

/** Sent for certain by browsers, and by none taken in MP4. */
const ONLY_LIVE = "vp8";

type Broadcast = Span & { id: string; recording: boolean; video: string | null };

export type Rewinding = {
  span: Span | null;
  behind: Behind | null;
  /** A past moment is shown, or on its way. */
  rewound: boolean;
  possible: boolean;
  /** The broadcast is over and can be played from its start. */
  canReplay: boolean;
  /** UTC milliseconds. */
  seek: (at: number) => void;
  step: (byMs: number) => void;
  /** 0 is the beginning, 1 the end. */
  toPart: (part: number) => void;
  toLive: () => void;
};

const OFF: RewindView = { kind: "off" };
const silent = () => () => {};

export function useRewind({
  seat,
  view,
  screen,
  video,
}: {
  seat: Seat | null;
  view: PlayerView;
  screen: Screen | null;
  video: RefObject<HTMLVideoElement | null>;
}): Rewinding {
  const rewound = useSyncExternalStore(
    screen?.rewound.subscribe ?? silent,
    screen?.rewound.snapshot ?? (() => OFF),
  );
  const broadcast = useBroadcast(seat, view);
  const paused = usePaused(video);
  /** The live moment at which the viewer paused. */
  const [left, setLeft] = useState<number | null>(null);
  const now = () => seat?.player.serverNow ?? Date.now();
  const on = rewound.kind === "on";
  const possible = broadcast?.recording === true && broadcast.video !== ONLY_LIVE;

  const toLive = () => {
    setLeft(null);
    screen?.live();
  };
  const seek = (at: number) => {
    if (!broadcast) return;
    if (!broadcast.recording) return toast({ text: m.watch.notRecorded });
    if (!possible) return toast({ text: m.watch.noRewind(codecName(broadcast.video)) });
    const past = broadcast.endedAt ?? now() - EDGE_MS;
    if (broadcast.endedAt === null && at > past) return toLive();
    setLeft(null);
    const url = `/api/broadcasts/${broadcast.id}/hls/index.m3u8`;
    screen?.rewind(url, Math.min(past, Math.max(broadcast.startedAt, at)));
  };
  const here = () => (on ? rewound.at : (left ?? broadcast?.endedAt ?? now()));

  useEffect(() => {
    if (rewound.kind !== "finished" && rewound.kind !== "failed") return;
    if (rewound.kind === "failed")
      toast({ text: rewound.why === "gone" ? m.watch.rewindGone : m.watch.rewindFailed, tone: "error" });
    screen?.live();
  }, [rewound, screen]);

  // Another broadcast has begun: what is behind belongs to the last one.
  const id = broadcast?.id ?? null;
  const last = useRef(id);
  useEffect(() => {
    if (id === null || id === last.current) return;
    if (last.current !== null) {
      setLeft(null);
      screen?.live();
    }
    last.current = id;
  }, [id, screen]);

  const latest = useRef({ seek, on, live: view.state.kind === "live", now, left });
  latest.current = { seek, on, live: view.state.kind === "live", now, left };
  useEffect(() => {
    const { seek, on, live, now, left } = latest.current;
    if (on || !live) return;
    if (paused) return setLeft(now());
    if (left === null) return;
    if (now() - left > BLINK_MS) seek(left);
    else setLeft(null);
  }, [paused]);

  return {
    span: broadcast,
    behind: on ? { at: rewound.at, paused } : left !== null ? { at: left, paused } : null,
    rewound: on,
    possible,
    canReplay: possible && broadcast?.endedAt != null,
    seek,
    step: (byMs) => {
      if (byMs > 0 && !on && left === null) return;
      seek(here() + byMs);
    },
    toPart: (part) => {
      if (!broadcast) return;
      seek(broadcast.startedAt + part * ((broadcast.endedAt ?? now()) - broadcast.startedAt));
    },
    toLive,
  };
}

/** What is on air, and after that what was, as long as the page is open. */
function useBroadcast(seat: Seat | null, view: PlayerView): Broadcast | null {
  const { state } = view;
  const live = "live" in state ? state.live : null;
  const last = useRef<{ live: OnAir; endedAt: number | null } | null>(null);
  if (live !== null) last.current = { live, endedAt: null };
  const over = state.kind === "ended" && last.current?.live.broadcast === state.ended.broadcast;
  if (last.current !== null && over) last.current.endedAt ??= seat?.player.serverNow ?? Date.now();
  if (last.current === null || (live === null && !over)) return null;
  const { broadcast, startedAt, recording, video } = last.current.live;
  return { id: broadcast, startedAt, endedAt: last.current.endedAt, recording, video };
}

function usePaused(video: RefObject<HTMLVideoElement | null>): boolean {
  const [paused, setPaused] = useState(false);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    // Before the first picture a video is paused as well; that is not the viewer's doing.
    const heard = () => setPaused(element.paused && element.readyState > 1);
    const events = ["pause", "play", "playing"];
    for (const event of events) element.addEventListener(event, heard);
    return () => {
      for (const event of events) element.removeEventListener(event, heard);
    };
  }, [video]);
  return paused;
}
