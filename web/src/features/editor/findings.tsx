// Marks of the timeline: where in the clip something was found, over the lane that it is about.
import type { Finding } from "@/api/generated/protocol";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { timecode } from "./range";
import { clamp, type Span, toPx } from "./view";

export type { Finding };

/** Pixels: below that a mark is not seen. */
const NARROWEST = 3;

export function Findings({
  view,
  width,
  clip,
  findings,
}: {
  view: Span;
  width: number;
  clip: Span;
  findings: readonly Finding[];
}) {
  if (findings.length === 0) return null;
  return (
    <ul aria-label={m.editor.found}>
      {findings.map(({ kind, fromMs, toMs }) => {
        const from = toPx(clip.fromMs + fromMs, view, width);
        const to = toPx(Math.min(clip.fromMs + toMs, clip.toMs), view, width);
        if (to < 0 || from > width) return null;
        const left = clamp(from, 0, width);
        const said = m.editor.findingSaid(m.editor.finding[kind], timecode(fromMs), timecode(toMs));
        return (
          <li
            key={`${kind} ${fromMs}`}
            title={said}
            className={cn(
              "absolute h-2 rounded-full border border-bg",
              kind === "silent" ? "bottom-1" : "top-[30px]",
              kind === "flashing" || kind === "spoilt" ? "bg-danger" : "bg-warn",
            )}
            style={{ left, width: Math.max(NARROWEST, clamp(to, 0, width) - left) }}
          >
            <span className="sr-only">{said}</span>
          </li>
        );
      })}
    </ul>
  );
}
