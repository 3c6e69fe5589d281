// What the keys of every player do, and how a page lists them. What only one player can do it adds itself.
import type { RefObject } from "react";
import { m } from "@/messages";
import { useKeys } from "./hooks";

type Row = readonly [key: string, does: string];

export const CLIP_KEY: Row = ["C", m.watch.keys.clip];

export const MEDIA_KEYS: readonly Row[] = [
  ["K", m.watch.keys.play],
  ["J", m.watch.keys.back],
  ["L", m.watch.keys.forward],
  ["\u2190 \u2192", m.watch.keys.step],
  ["0 \u2013 9", m.watch.keys.tenth],
  ["Home End", m.watch.keys.ends],
  ["M", m.watch.keys.mute],
  ["F", m.watch.keys.full],
  ["P", m.watch.keys.pip],
];

type Player = {
  video: RefObject<HTMLVideoElement | null>;
  /** What goes full screen. */
  frame: RefObject<HTMLElement | null>;
  toggle: () => void;
  /** On by so many milliseconds, or back. */
  step: (ms: number) => void;
  /** To a share of the whole, 0 to 1. */
  toPart: (part: number) => void;
};

export function useMediaKeys(
  { video, frame, toggle, step, toPart }: Player,
  more: Record<string, () => void> = {},
): void {
  const tenths = [...Array(10).keys()].map((tenth) => [String(tenth), () => toPart(tenth / 10)]);
  useKeys({
    " ": toggle,
    k: toggle,
    j: () => step(-10_000),
    l: () => step(10_000),
    arrowleft: ({ shiftKey }) => step(shiftKey ? -60_000 : -5_000),
    arrowright: ({ shiftKey }) => step(shiftKey ? 60_000 : 5_000),
    home: () => toPart(0),
    end: () => toPart(1),
    ...Object.fromEntries(tenths),
    m: () => {
      if (video.current) video.current.muted = !video.current.muted;
    },
    f: () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else void frame.current?.requestFullscreen?.();
    },
    p: () => {
      if (document.pictureInPictureElement) void document.exitPictureInPicture();
      else void video.current?.requestPictureInPicture?.().catch(() => {});
    },
    ...more,
  });
}

/** Plays what stands still, and the other way round. */
export function togglePlaying(video: HTMLVideoElement | null): void {
  if (video?.paused) void video.play().catch(() => {});
  else video?.pause();
}
