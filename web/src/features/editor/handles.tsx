// What is moved on the timeline: the two gold handles and the playhead. Each has keys and says where it is.
import { type KeyboardEvent, type PointerEvent, useEffect, useRef } from "react";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { type Edge, timecode } from "./range";
import type { Transport } from "./transport";
import { clamp, type Span, toPx } from "./view";

export function Handle({
  edge,
  ms,
  bounds,
  view,
  width,
  frameMs,
  onGrab,
  onKey,
  onFocus,
}: {
  edge: Edge;
  ms: number;
  bounds: Span;
  view: Span;
  width: number;
  frameMs: number;
  onGrab: (event: PointerEvent<HTMLDivElement>) => void;
  /** Wants to be here. */
  onKey: (ms: number) => void;
  onFocus: () => void;
}) {
  const keyed = (event: KeyboardEvent) => {
    const step = event.shiftKey ? 1_000 : frameMs;
    const places: Record<string, number> = {
      ArrowLeft: ms - step,
      ArrowDown: ms - step,
      ArrowRight: ms + step,
      ArrowUp: ms + step,
      PageDown: ms - 10_000,
      PageUp: ms + 10_000,
      Home: bounds.fromMs,
      End: bounds.toMs,
    };
    const place = places[event.key];
    if (place === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    onKey(place);
  };
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label={edge === "in" ? m.editor.inPoint : m.editor.outPoint}
      aria-valuemin={Math.round(bounds.fromMs)}
      aria-valuemax={Math.round(bounds.toMs)}
      aria-valuenow={Math.round(ms)}
      aria-valuetext={m.editor.spoken(ms)}
      onPointerDown={onGrab}
      onKeyDown={keyed}
      onFocus={onFocus}
      className={cn(
        "absolute top-[20px] bottom-0 z-10 grid w-3 cursor-ew-resize touch-none place-items-center bg-kept-fill text-caption font-heading text-on-kept [--wide:12px] max-tablet:w-5 max-tablet:[--wide:20px]",
        // Wider to the finger than to the eye.
        "after:absolute after:inset-y-0 after:-inset-x-1.5",
        edge === "in" ? "-translate-x-full rounded-l-[5px]" : "rounded-r-[5px]",
      )}
      style={{ left: besideThe(edge, toPx(ms, view, width), width) }}
    >
      <span aria-hidden>{edge === "in" ? m.editor.inLetter : m.editor.outLetter}</span>
    </div>
  );
}

/** It lies outside of what it bounds; where that is at the border of the timeline, within it, so that it is seen. */
function besideThe(edge: Edge, px: number, width: number): string {
  if (px < -1 || px > width + 1) return `${px}px`;
  return edge === "in" ? `max(${px}px, var(--wide))` : `min(${px}px, calc(${width}px - var(--wide)))`;
}

/** Half of the playhead's time, pixels. */
const HALF = 34;

/** Moves with every picture, without React. */
export function Playhead({ transport, view, width }: { transport: Transport; view: Span; width: number }) {
  const line = useRef<HTMLDivElement>(null);
  const time = useRef<HTMLSpanElement>(null);
  useEffect(
    () =>
      transport.onMove((ms) => {
        if (line.current) line.current.style.transform = `translateX(${toPx(ms, view, width)}px)`;
        if (!time.current) return;
        time.current.textContent = timecode(ms);
        // At the borders the line goes on and the time stays readable.
        const px = toPx(ms, view, width);
        const isSeen = px >= 0 && px <= width;
        time.current.style.left = isSeen ? `${clamp(px, HALF, width - HALF) - px}px` : "0";
      }),
    [transport, view, width],
  );
  return (
    <div ref={line} aria-hidden className="pointer-events-none absolute inset-y-0 left-0 z-20 w-0">
      <div className="absolute inset-y-0 -left-px w-0.5 bg-ink" />
      <span
        ref={time}
        className="num absolute top-[2px] left-0 -translate-x-1/2 rounded-picture bg-ink px-1.5 text-caption leading-5 font-control text-bg"
      />
    </div>
  );
}
