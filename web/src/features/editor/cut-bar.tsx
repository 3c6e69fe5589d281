// The foot of the editor: how the cut is made, what that means here, and the button that makes it.
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Segments } from "./form";
import { fastStart, type Range } from "./range";
import type { Span } from "./view";

export type Precision = "fast" | "exact";

/** What a fast cut would begin with, in words. Null: not known. */
export function fastWords(range: Range, keyframesMs: readonly number[]): string | null {
  const start = fastStart(range.inMs, keyframesMs);
  if (start === null) return null;
  const earlier = range.inMs - start;
  return earlier < 1 ? m.editor.fastSame : m.editor.fastEarlier(earlier);
}

export function CutBar({
  range,
  clip,
  keyframesMs,
  precision,
  onPrecision,
  busy,
  onCut,
}: {
  range: Range;
  clip: Span;
  keyframesMs: readonly number[];
  precision: Precision;
  onPrecision: (precision: Precision) => void;
  /** A cut is being asked for. */
  busy: boolean;
  onCut: () => void;
}) {
  const fast = fastWords(range, keyframesMs);
  const whole = range.inMs === clip.fromMs && range.outMs === clip.toMs;
  return (
    <section
      aria-label={m.editor.cut}
      className="flex items-center gap-3 border-t border-line bg-surface px-3.5 py-1.5 text-dense max-tablet:fixed max-tablet:inset-x-0 max-tablet:bottom-0 max-tablet:z-20 max-tablet:py-2.5"
    >
      <b aria-hidden className="max-tablet:hidden">
        {m.editor.cut}
      </b>
      <Segments
        name="precision"
        label={m.editor.precision}
        value={precision}
        options={[
          { value: "fast", label: m.editor.fast },
          { value: "exact", label: m.editor.exact },
        ]}
        onChange={onPrecision}
      />
      <p className="min-w-0 flex-1 text-ink-2">
        <span className="max-tablet:hidden">
          {precision === "exact" ? m.editor.exactText : m.editor.fastText}{" "}
        </span>
        {fast !== null && (
          <span className="num text-ink-2" data-fast>
            {precision === "exact" ? m.editor.fastWould(fast) : m.editor.fastStarts(fast)}
          </span>
        )}
      </p>
      <Button
        variant="kept"
        disabled={busy}
        title={whole ? m.editor.cutWhole : undefined}
        onClick={onCut}
        className="max-tablet:h-11"
      >
        {busy ? m.editor.cutting : m.editor.saveCut}
      </Button>
    </section>
  );
}
