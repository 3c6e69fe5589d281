// Marks of the timeline: where in the clip something was found, over the lane that it is about. A press goes there.
import type { Finding } from "@/api/generated/protocol";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { type Mark, place } from "./marks";
import { timecode } from "./range";
import type { Span } from "./view";

export type { Finding };

/** Pixels of a mark that has room for its word. */
const WORDY = 44;

export function Findings({
  view,
  width,
  clip,
  findings,
  onGo,
  onSee,
}: {
  view: Span;
  width: number;
  clip: Span;
  findings: readonly Finding[];
  onGo: Goes;
  /** It has the focus and is not seen. */
  onSee: Goes;
}) {
  if (findings.length === 0) return null;
  return (
    <ul aria-label={m.editor.found}>
      {place(findings, clip, view, width).map((mark) => (
        <li key={`${mark.kind} ${mark.fromMs}`}>
          <Place mark={mark} onGo={onGo} onSee={onSee} />
        </li>
      ))}
    </ul>
  );
}

type Goes = (ms: number) => void;

function Place({ mark, onGo, onSee }: { mark: Mark; onGo: Goes; onSee: Goes }) {
  const { kind, fromMs, toMs, left, target, bar, row, outside } = mark;
  const word = m.editor.finding[kind];
  const said = m.editor.findingSaid(word, timecode(fromMs), timecode(toMs));
  const isBad = kind === "flashing" || kind === "spoilt";
  return (
    <button
      type="button"
      aria-label={said}
      title={said}
      data-finding={kind}
      // A press on it is no press on the timeline.
      onPointerDown={(event) => event.stopPropagation()}
      onFocus={() => outside && onSee(fromMs)}
      // Times are whole milliseconds, rounded down: the picture begins within that one.
      onClick={() => onGo(fromMs + 1)}
      className={cn(
        "group absolute z-[5] block h-6 cursor-pointer focus-visible:outline-offset-0",
        outside && "pointer-events-none opacity-0",
      )}
      style={{ left, width: target, ...(kind === "silent" ? { bottom: 4 } : { top: 28 + row * 24 }) }}
    >
      <span
        aria-hidden
        className={cn(
          "mt-[3px] flex h-[18px] items-center overflow-hidden rounded-picture border text-caption font-control whitespace-nowrap",
          isBad
            ? "border-danger bg-danger-soft text-danger"
            : "border-warn bg-warn-soft text-warn group-hover:bg-raised",
        )}
        style={{ width: bar }}
      >
        {bar >= WORDY && <span className="truncate px-1.5">{word}</span>}
      </span>
    </button>
  );
}
