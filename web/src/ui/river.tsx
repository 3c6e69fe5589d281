import { useMemo } from "react";
import { m } from "@/messages";
import { cn } from "./cn";
import { useWidth } from "./hooks";

export type RiverClip = { id: string; startMs: number; endMs: number; title: string };

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
  className?: string;
};

type Arc = { key: string; from: number; to: number; clips: RiverClip[] };

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
        key: clip.id,
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
  className,
}: Props) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const line = height === 34 ? 24 : 16;
  const arcs = useMemo(() => arcsOf(clips, durationMs, width), [clips, durationMs, width]);
  return (
    <div ref={ref} className={cn("relative min-w-0", className)} style={{ height }}>
      <svg
        role="img"
        aria-label={label}
        viewBox={`0 0 ${width || 1} ${height}`}
        className="block size-full overflow-visible"
      >
        <rect className="fill-water" x={0} y={line} width={width} height={4} rx={2} />
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
          <g key={arc.key} className={cn("group", fresh?.has(arc.key) && "lift")}>
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
