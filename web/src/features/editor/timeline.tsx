// The timeline: lanes, handles and playhead over one view of the recording, and the gestures on it.
import { type PointerEvent, type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { useWidth } from "@/ui/hooks";
import { type Finding, Findings } from "./findings";
import { Handle, Playhead } from "./handles";
import { Film, Keyframes, Ruler, Wave } from "./lanes";
import { dragEdge, type Edge, type Range } from "./range";
import type { Cue, Peaks } from "./strips";
import type { Transport } from "./transport";
import { clamp, closest, lengthOf, pan, reveal, type Span, snap, toMs, toPx, zoom } from "./view";

const FILM = 70;
const WAVE = 66;

export type Strips = {
  keyframesMs: readonly number[];
  cues: readonly Cue[];
  peaks: Peaks | null;
  /** In the clip's own time. */
  findings: readonly Finding[];
};

export function Timeline({
  all,
  clip,
  range,
  view,
  transport,
  strips,
  onView,
  onWidth,
  onRange,
  children,
}: {
  /** As far as the recording is kept. */
  all: Span;
  clip: Span;
  range: Range;
  view: Span;
  transport: Transport;
  strips: Strips;
  onView: (change: (view: Span) => Span) => void;
  onWidth: (width: number) => void;
  /** `whole`: the gesture is over, and can be undone as one step. */
  onRange: (range: Range, edge: Edge, whole: boolean) => void;
  /** The lane of the whole broadcast. */
  children: ReactNode;
}) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const { frameMs, speed, positionMs } = useSyncExternalStore(transport.subscribe, transport.snapshot);
  const [dragging, setDragging] = useState<Edge | "playhead" | null>(null);
  useEffect(() => onWidth(width), [width, onWidth]);
  useWheel(ref, width, all, frameMs, onView);
  const pinch = usePinch(width, all, frameMs, onView);
  // What plays stays in view.
  useEffect(() => {
    if (speed !== 0) onView((now) => reveal(now, positionMs, all));
  }, [speed, positionMs, all, onView]);

  const placeOf = (event: PointerEvent) => {
    const left = ref.current?.getBoundingClientRect().left ?? 0;
    return clamp(toMs(event.clientX - left, view, width), all.fromMs, all.toMs);
  };
  const snapped = (ms: number, event: PointerEvent, edge: Edge | "playhead") => {
    if (event.altKey) return ms;
    const others = edge === "playhead" ? [range.inMs, range.outMs] : [transport.snapshot().positionMs];
    return snap(ms, [...strips.keyframesMs, clip.fromMs, clip.toMs, ...others], view, width);
  };
  const grab = (edge: Edge | "playhead") => (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0 || pinch.busy()) return;
    event.stopPropagation();
    event.currentTarget.setPointerCapture(event.pointerId);
    if (edge !== "playhead") event.currentTarget.focus({ preventScroll: true });
    setDragging(edge);
    if (edge === "playhead") transport.seek(snapped(placeOf(event), event, edge));
  };
  const move = (event: PointerEvent<HTMLDivElement>, whole = false) => {
    if (dragging === null || pinch.busy()) return;
    const ms = snapped(placeOf(event), event, dragging);
    if (dragging === "playhead") {
      if (!whole) transport.seek(ms);
      return;
    }
    const next = dragEdge(range, dragging, ms, all, frameMs);
    onRange(next, dragging, whole);
    // The picture shows what the cut begins or ends with.
    transport.seek(dragging === "in" ? next.inMs : next.outMs - frameMs);
  };
  const drop = (event: PointerEvent<HTMLDivElement>) => {
    move(event, true);
    setDragging(null);
  };
  const keyed = (edge: Edge) => (ms: number) => {
    const next = dragEdge(range, edge, ms, all, frameMs);
    onRange(next, edge, true);
    transport.seek(edge === "in" ? next.inMs : next.outMs - frameMs);
    onView((now) => reveal(now, edge === "in" ? next.inMs : next.outMs, all));
  };

  const inPx = clamp(toPx(range.inMs, view, width), 0, width);
  const outPx = clamp(toPx(range.outMs, view, width), 0, width);
  const handle = { view, width, frameMs };
  return (
    <section
      aria-label={m.editor.timeline}
      className="grid grid-cols-[92px_minmax(0,1fr)] bg-surface max-tablet:grid-cols-1"
    >
      <Labels />
      <div
        ref={ref}
        data-timeline
        className="relative touch-pan-y overflow-clip select-none"
        onPointerDown={(event) => {
          pinch.down(event);
          grab("playhead")(event);
        }}
        onPointerMove={(event) => {
          pinch.move(event);
          move(event);
        }}
        onPointerUp={(event) => {
          drop(event);
          pinch.up(event);
        }}
        onPointerCancel={(event) => {
          setDragging(null);
          pinch.up(event);
        }}
      >
        <Ruler view={view} width={width} />
        <Film view={view} width={width} clip={clip} cues={strips.cues} height={FILM} />
        <Keyframes view={view} width={width} keyframesMs={strips.keyframesMs} />
        <Wave view={view} width={width} clip={clip} peaks={strips.peaks} height={WAVE} />
        <Findings
          view={view}
          width={width}
          clip={clip}
          findings={strips.findings}
          onGo={(ms) => {
            transport.seek(ms);
            onView((now) => reveal(now, ms, all));
          }}
          onSee={(ms) => onView((now) => reveal(now, ms, all))}
        />
        <Beyond all={all} clip={clip} view={view} width={width} />
        <span aria-hidden className="absolute top-[26px] bottom-0 left-0 bg-bg/65" style={{ width: inPx }} />
        <span aria-hidden className="absolute top-[26px] right-0 bottom-0 bg-bg/65" style={{ left: outPx }} />
        <span
          aria-hidden
          data-range
          className="absolute top-[20px] bottom-0 border-t-[6px] border-b-2 border-kept-fill"
          style={{ left: inPx, width: Math.max(0, outPx - inPx) }}
        />
        <Handle
          {...handle}
          edge="in"
          ms={range.inMs}
          bounds={{ fromMs: all.fromMs, toMs: range.outMs - frameMs }}
          onGrab={grab("in")}
          onKey={keyed("in")}
          onFocus={() => onView((now) => reveal(now, range.inMs, all))}
        />
        <Handle
          {...handle}
          edge="out"
          ms={range.outMs}
          bounds={{ fromMs: range.inMs + frameMs, toMs: all.toMs }}
          onGrab={grab("out")}
          onKey={keyed("out")}
          onFocus={() => onView((now) => reveal(now, range.outMs, all))}
        />
        <Playhead transport={transport} view={view} width={width} />
      </div>
      {children}
    </section>
  );
}

function Labels() {
  return (
    <div aria-hidden className="border-r border-line text-caption text-ink-3 max-tablet:hidden">
      <div className="h-[26px]" />
      <div className="grid items-center pl-3.5" style={{ height: FILM }}>
        {m.editor.picture}
      </div>
      <div className="grid h-5 items-center pl-3.5">{m.editor.keyframes}</div>
      <div className="grid items-center pl-3.5" style={{ height: WAVE }}>
        {m.editor.sound}
      </div>
    </div>
  );
}

/** The recording before and after this clip, which can be cut from and is not in this file. */
function Beyond({ all, clip, view, width }: { all: Span; clip: Span; view: Span; width: number }) {
  const before = [all.fromMs, clip.fromMs] as const;
  const after = [clip.toMs, all.toMs] as const;
  return [before, after].map(([from, to]) => {
    const left = clamp(toPx(from, view, width), 0, width);
    const right = clamp(toPx(to, view, width), 0, width);
    if (right - left < 1) return null;
    return (
      <span
        key={from}
        className="hatched absolute top-[26px] grid items-center overflow-hidden px-2 text-center text-caption text-ink-2"
        style={{ left, width: right - left, height: FILM }}
      >
        {right - left > 120 ? m.editor.beyond : ""}
      </span>
    );
  });
}

type ViewChange = (change: (view: Span) => Span) => void;

/** Ctrl and the wheel zoom about the pointer, as does a pinch on a trackpad; the wheel alone moves. */
function useWheel(
  ref: { current: HTMLDivElement | null },
  width: number,
  all: Span,
  frameMs: number,
  onView: ViewChange,
): void {
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const heard = (event: WheelEvent) => {
      const along = event.deltaX || (event.shiftKey ? event.deltaY : 0);
      if (!event.ctrlKey && along === 0) return;
      event.preventDefault();
      const left = element.getBoundingClientRect().left;
      onView((view) =>
        event.ctrlKey
          ? zoom(
              view,
              Math.exp(-clamp(event.deltaY, -100, 100) / 200),
              toMs(event.clientX - left, view, width),
              all,
              closest(width, frameMs),
            )
          : pan(view, (along / Math.max(1, width)) * lengthOf(view), all),
      );
    };
    // React's own listener is passive and could not keep the page from zooming.
    element.addEventListener("wheel", heard, { passive: false });
    return () => element.removeEventListener("wheel", heard);
  }, [ref, width, all, frameMs, onView]);
}

/** Two fingers zoom about the middle between them. */
function usePinch(width: number, all: Span, frameMs: number, onView: ViewChange) {
  const fingers = useRef(new Map<number, number>());
  const apart = () => {
    const [a = 0, b = 0] = [...fingers.current.values()];
    return { distance: Math.max(8, Math.abs(a - b)), middle: (a + b) / 2 };
  };
  return {
    busy: () => fingers.current.size > 1,
    down: (event: PointerEvent) => {
      if (event.pointerType === "touch") fingers.current.set(event.pointerId, event.clientX);
    },
    up: (event: PointerEvent) => void fingers.current.delete(event.pointerId),
    move: (event: PointerEvent<HTMLDivElement>) => {
      if (!fingers.current.has(event.pointerId)) return;
      const before = apart();
      fingers.current.set(event.pointerId, event.clientX);
      if (fingers.current.size < 2) return;
      const after = apart();
      const left = event.currentTarget.getBoundingClientRect().left;
      onView((view) =>
        zoom(
          view,
          after.distance / before.distance,
          toMs(after.middle - left, view, width),
          all,
          closest(width, frameMs),
        ),
      );
    },
  };
}
