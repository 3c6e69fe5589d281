// Two handles on the last two minutes. By pointer, by keys, and by the lengths under it.
import { type KeyboardEvent, type PointerEvent, useRef } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { clock, length } from "@/ui/format";
import { type Bounds, type Grip, lasting, moved, type Range } from "./trim";

const LENGTHS = [15_000, 30_000, 60_000, 90_000];
const STEP = 1_000;
const LEAP = 5_000;

type Props = { range: Range; bounds: Bounds; onChange: (next: Range) => void };

export function Trimmer({ range, bounds, onChange }: Props) {
  const track = useRef<HTMLDivElement>(null);
  const held = useRef<{ grip: Grip; offset: number } | null>(null);
  const whole = Math.max(1, bounds.to - bounds.from);
  const share = (ms: number) => `${((ms - bounds.from) / whole) * 100}%`;

  const under = (event: PointerEvent) => {
    const box = track.current?.getBoundingClientRect();
    if (!box || box.width === 0) return bounds.from;
    return bounds.from + ((event.clientX - box.left) / box.width) * whole;
  };
  const grab = (grip: Grip) => (event: PointerEvent<HTMLElement>) => {
    event.preventDefault();
    event.stopPropagation();
    event.currentTarget.focus();
    event.currentTarget.setPointerCapture(event.pointerId);
    held.current = { grip, offset: under(event) - (grip === "to" ? range.to : range.from) };
  };
  const drag = (event: PointerEvent) => {
    if (held.current) onChange(moved(range, held.current.grip, under(event) - held.current.offset, bounds));
  };
  const release = () => {
    held.current = null;
  };
  const press = (grip: "from" | "to") => (event: KeyboardEvent) => {
    const step = event.shiftKey ? LEAP : STEP;
    const at = {
      ArrowLeft: range[grip] - step,
      ArrowDown: range[grip] - step,
      ArrowRight: range[grip] + step,
      ArrowUp: range[grip] + step,
      Home: bounds.from,
      End: bounds.to,
    }[event.key];
    if (at === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onChange(moved(range, grip, at, bounds));
  };
  const handle = (grip: "from" | "to") => (
    <div
      role="slider"
      tabIndex={0}
      aria-label={grip === "from" ? m.clipSheet.start : m.clipSheet.end}
      aria-valuemin={Math.round(bounds.from / 1_000)}
      aria-valuemax={Math.round(bounds.to / 1_000)}
      aria-valuenow={Math.round(range[grip] / 1_000)}
      aria-valuetext={m.clipSheet.at(clock(range[grip]))}
      onPointerDown={grab(grip)}
      onKeyDown={press(grip)}
      className="absolute inset-y-0 z-10 grid w-6 -translate-x-1/2 cursor-ew-resize touch-none place-items-center max-tablet:w-10"
      style={{ left: share(range[grip]) }}
    >
      <span aria-hidden className="h-full w-2 rounded-picture bg-kept-fill" />
    </div>
  );
  return (
    <div>
      {/* The handles inside are what is named, focused and pressed; this only follows a pointer that one of them caught. */}
      <div
        ref={track}
        onPointerMove={drag}
        onPointerUp={release}
        onPointerCancel={release}
        className="relative mx-3 h-11 rounded-control bg-sunk"
      >
        <div
          onPointerDown={grab("both")}
          className="absolute inset-y-0 cursor-grab touch-none border-y-2 border-kept-line bg-kept-soft"
          style={{ left: share(range.from), width: `${((range.to - range.from) / whole) * 100}%` }}
        />
        {handle("from")}
        {handle("to")}
      </div>
      <div className="num mt-1 flex justify-between px-3 text-caption text-ink-3">
        <span>{clock(bounds.from)}</span>
        <span className="text-dense font-control text-kept" data-length={Math.round(range.to - range.from)}>
          {m.clipSheet.chosen(clock(range.from), clock(range.to), length(range.to - range.from))}
        </span>
        <span>{clock(bounds.to)}</span>
      </div>
      <fieldset className="mt-2 flex flex-wrap gap-1.5">
        <legend className="sr-only">{m.clipSheet.lengths}</legend>
        {LENGTHS.filter((ms) => ms <= Math.max(bounds.to - bounds.from, USUAL_LEAST)).map((ms) => {
          const chosen = Math.abs(range.to - range.from - ms) < STEP / 2;
          return (
            <Button
              key={ms}
              size="dense"
              aria-pressed={chosen}
              className={cn("num", chosen && "border-kept-line bg-kept-soft text-kept")}
              onClick={() => onChange(lasting(range, ms, bounds))}
            >
              {m.clipSheet.seconds(ms / 1_000)}
            </Button>
          );
        })}
      </fieldset>
    </div>
  );
}

/** Of these lengths at least the first is offered. */
const USUAL_LEAST = LENGTHS[0] ?? 0;
