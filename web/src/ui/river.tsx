import { useEffect, useMemo, useRef, useState } from "react";
import { m } from "@/messages";
import { cn } from "./cn";
import { clock } from "./format";
import { useWidth } from "./hooks";

export type RiverClip = { id: string; startMs: number; endMs: number; title: string };

/** Makes the line a slider. */
export type Seek = {
  /** Milliseconds from the beginning; null at the live edge. */
  positionMs: number | null;
  label: string;
  /** The position in words, for those who hear it. */
  spoken: (positionMs: number | null) => string;
  onSeek: (positionMs: number) => void;
  /** Somebody is about to. */
  onPrepare?: () => void;
};

type Props = {
  durationMs: number;
  clips: readonly RiverClip[];
  /** Where the recording rolled over to a new file, in milliseconds. */
  ticks?: readonly number[];
  /** A dot at the end: red on air, grey while the streamer is gone. */
  edge?: "live" | "gone";
  height?: 34 | 26;
  label: string;
  onOpen?: (id: string) => void;
  /** Arcs of these have just been made and lift off the line. */
  fresh?: ReadonlySet<string>;
  seek?: Seek;
  className?: string;
};

type Arc = { key: string; from: number; to: number; clips: RiverClip[] };

/** A press of an arrow key on the line. */
const STEP_MS = 5_000;
/** Arcs are at least this wide, and nearer ones become one with a count. */
const MIN_ARC = 10;
const NEAR = 12;

/** The arcs of a river of `width` pixels, near ones merged. */
export function arcsOf(clips: readonly RiverClip[], durationMs: number, width: number): Arc[] {
  if (durationMs <= 0 || width <= 0) return [];
  const scale = width / durationMs;
  const arcs: Arc[] = [];
  for (const clip of [...clips].sort((a, b) => a.startMs - b.startMs)) {
    const middle = ((clip.startMs + clip.endMs) / 2) * scale;
    const half = Math.max(MIN_ARC, (clip.endMs - clip.startMs) * scale - 4) / 2;
    const last = arcs[arcs.length - 1];
    if (last && middle - (last.from + last.to) / 2 < NEAR) {
      last.to = Math.min(width, Math.max(last.to, middle + half));
      last.clips.push(clip);
    } else {
      arcs.push({
        key: `${clip.id} ${clip.startMs}`,
        from: Math.max(1, middle - half),
        to: Math.min(width - 1, middle + half),
        clips: [clip],
      });
    }
  }
  return arcs;
}

function arcPath(arc: Arc, base: number, top: number): string {
  const bulge = Math.min(5, (arc.to - arc.from) * 0.08 + 1.5);
  return `M${arc.from} ${base}C${arc.from - bulge} ${top} ${arc.to + bulge} ${top} ${arc.to} ${base}`;
}

/** The one timeline: a line, roll-overs below it, clips as arcs lifted off it. */
export function River({
  durationMs,
  clips,
  ticks = [],
  edge,
  height = 34,
  label,
  onOpen,
  fresh,
  seek,
  className,
}: Props) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const line = height === 34 ? 24 : 16;
  const arcs = useMemo(() => arcsOf(clips, durationMs, width), [clips, durationMs, width]);
  // Where the thumb is held, before it is let go.
  const [held, setHeld] = useState<number | null>(null);
  const position = held ?? seek?.positionMs ?? null;
  const at = position === null || durationMs <= 0 ? null : Math.min(1, position / durationMs) * width;
  return (
    <div ref={ref} className={cn("relative min-w-0", className)} style={{ height }}>
      <svg
        role="img"
        aria-label={label}
        viewBox={`0 0 ${width || 1} ${height}`}
        className="block size-full overflow-visible"
      >
        <rect
          className="fill-water"
          x={0}
          y={line}
          width={width}
          height={4}
          rx={2}
          opacity={at === null ? 1 : 0.45}
        />
        {at !== null && <rect className="fill-water" x={0} y={line} width={at} height={4} rx={2} />}
        {ticks.map((tick) => (
          <rect
            key={tick}
            className="fill-ink-3"
            x={Math.round((tick / durationMs) * width)}
            y={line + 4}
            width={1}
            height={4}
          />
        ))}
        {arcs.map((arc) => (
          <g key={arc.key} className={cn("group", arc.clips.some(({ id }) => fresh?.has(id)) && "lift")}>
            <path
              d={arcPath(arc, line - 1, 3)}
              className="fill-transparent stroke-kept-line"
              strokeWidth={2}
              strokeLinecap="round"
            />
            {arc.clips.length > 1 && arc.to - arc.from >= 14 && height === 34 && (
              <text
                x={(arc.from + arc.to) / 2}
                y={line - 4}
                textAnchor="middle"
                className="pointer-events-none fill-kept font-control text-caption"
              >
                {arc.clips.length}
              </text>
            )}
          </g>
        ))}
      </svg>
      {edge && (
        <span
          aria-hidden
          className={cn(
            "absolute right-0 size-2.5 translate-x-1/2 -translate-y-1/2 rounded-full",
            edge === "live" ? "bg-live-fill" : "bg-line-2",
          )}
          style={{ top: line + 2 }}
        />
      )}
      {seek && (
        <Slider seek={seek} durationMs={durationMs} line={line} at={at} held={held} onHold={setHeld} />
      )}
      {onOpen && arcs.length > 0 && (
        <ul aria-label={m.river.list}>
          {arcs.map((arc) => {
            const title = arc.clips.length > 1 ? m.river.more(arc.clips.length) : (arc.clips[0]?.title ?? "");
            return (
              <li key={arc.key}>
                {/* The same clips are cards on the page; a tab stop for each arc would only be in the way. */}
                <button
                  type="button"
                  tabIndex={-1}
                  title={title}
                  aria-label={m.river.play(title)}
                  onClick={() => arc.clips[0] && onOpen(arc.clips[0].id)}
                  className="absolute top-0 rounded-t-full hover:bg-kept-fill/25"
                  style={{ left: arc.from, width: arc.to - arc.from, height: line }}
                />
              </li>
            );
          })}
        </ul>
      )}
    </div>
  );
}

/** Lies over the line: a range field, so that fingers, keys and screen readers all have what they expect. */
function Slider({
  seek,
  durationMs,
  line,
  at,
  held,
  onHold,
}: {
  seek: Seek;
  durationMs: number;
  line: number;
  at: number | null;
  held: number | null;
  onHold: (positionMs: number | null) => void;
}) {
  const field = useRef<HTMLInputElement>(null);
  const latest = useRef(seek);
  latest.current = seek;
  useEffect(() => {
    const element = field.current;
    if (!element) return;
    // React's onChange is the browser's "input"; "change" is when it is let go.
    const changed = () => {
      onHold(null);
      latest.current.onSeek(Number(element.value));
    };
    element.addEventListener("change", changed);
    return () => element.removeEventListener("change", changed);
  }, [onHold]);
  const position = held ?? seek.positionMs;
  return (
    <>
      <input
        ref={field}
        type="range"
        min={0}
        max={durationMs}
        step={STEP_MS}
        value={position ?? durationMs}
        aria-label={seek.label}
        aria-valuetext={seek.spoken(position)}
        onInput={(event) => onHold(Number(event.currentTarget.value))}
        onChange={() => {}}
        onPointerEnter={seek.onPrepare}
        onFocus={seek.onPrepare}
        className="peer absolute inset-x-0 m-0 h-6 w-full cursor-pointer opacity-0"
        style={{ top: line - 10 }}
      />
      {at !== null && (
        <span
          aria-hidden
          className="pointer-events-none absolute size-3 -translate-x-1/2 -translate-y-1/2 rounded-full bg-water peer-focus-visible:outline-2 peer-focus-visible:outline-offset-2 peer-focus-visible:outline-water"
          style={{ top: line + 2, left: at }}
        />
      )}
      {at === null && (
        <span
          aria-hidden
          className="pointer-events-none absolute right-0 size-3 translate-x-1/2 -translate-y-1/2 rounded-full peer-focus-visible:outline-2 peer-focus-visible:outline-offset-2 peer-focus-visible:outline-water"
          style={{ top: line + 2 }}
        />
      )}
      {held !== null && at !== null && (
        <span
          aria-hidden
          className="num pointer-events-none absolute -translate-x-1/2 -translate-y-full rounded-control bg-raised px-1.5 text-caption text-ink shadow-float"
          style={{ top: line - 8, left: at }}
        >
          {clock(held)}
        </span>
      )}
    </>
  );
}

/** Under a clip: the line with the one arc, where it was cut. */
export function Provenance({
  durationMs,
  startMs,
  endMs,
  lift = false,
}: {
  durationMs: number;
  startMs: number;
  endMs: number;
  lift?: boolean;
}) {
  const total = Math.max(durationMs, endMs, 1);
  const from = Math.min(0.95, Math.max(0, startMs / total)) * 1_000;
  const to = Math.max(from + 45, Math.min(1, endMs / total) * 1_000);
  return (
    <svg
      viewBox="0 0 1000 13"
      preserveAspectRatio="none"
      role="img"
      aria-label={m.river.where}
      className="mt-[7px] block h-[13px] w-full overflow-visible"
    >
      <rect y={9} width={1_000} height={2} className="fill-water" opacity={0.45} />
      <path
        d={`M${from} 9C${from - 5} 0 ${to + 5} 0 ${to} 9`}
        className={cn("fill-none stroke-kept-line", lift && "lift")}
        strokeWidth={2}
        strokeLinecap="round"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}
