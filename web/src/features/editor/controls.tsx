// The row under the picture: in and out as fields, play and step, zoom.
import {
  ChevronLeft,
  ChevronRight,
  Minus,
  Pause,
  Play,
  Plus,
  Repeat,
  SkipBack,
  SkipForward,
  Volume2,
  VolumeX,
} from "lucide-react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { Button, IconButton } from "@/ui/button";
import { cn } from "@/ui/cn";
import { type Edge, type Range, readTimecode, timecode } from "./range";
import type { Transport } from "./transport";

const ICON = { className: "size-[18px]", strokeWidth: 1.75, "aria-hidden": true } as const;

export type Moves = {
  set: (edge: Edge) => void;
  jump: (edge: Edge) => void;
  type: (edge: Edge, ms: number) => void;
};

export function Controls({
  range,
  transport,
  moves,
  zoom,
}: {
  range: Range;
  transport: Transport;
  moves: Moves;
  zoom: { level: number; shownMs: number; onLevel: (level: number) => void };
}) {
  const playing = useSyncExternalStore(transport.subscribe, transport.snapshot);
  const moving = playing.speed !== 0;
  return (
    <div className="flex flex-wrap items-center gap-x-2 gap-y-1.5 border-b border-line bg-surface px-3.5 py-[7px] max-tablet:justify-center">
      <div className="flex flex-1 items-center gap-2 max-tablet:order-last max-tablet:basis-full">
        <TimeField edge="in" ms={range.inMs} onTime={(ms) => moves.type("in", ms)} />
        <TimeField edge="out" ms={range.outMs} onTime={(ms) => moves.type("out", ms)} />
        <span className="num text-dense text-ink-2 max-laptop:hidden">
          {m.editor.seconds(range.outMs - range.inMs)}
        </span>
      </div>
      <div className="flex items-center gap-1">
        <IconButton
          label={m.editor.toIn}
          hint="Shift+I"
          onClick={() => moves.jump("in")}
          className="max-tablet:hidden"
        >
          <SkipBack {...ICON} />
        </IconButton>
        <IconButton label={m.editor.frameBack} hint={"\u2190"} onClick={() => transport.step(-1)}>
          <ChevronLeft {...ICON} />
        </IconButton>
        <button
          type="button"
          aria-label={moving ? m.editor.pause : m.editor.play}
          title={`${moving ? m.editor.pause : m.editor.play} (K)`}
          onClick={() => transport.toggle()}
          className="grid size-10 place-items-center rounded-control bg-ink text-bg state-motion hover:opacity-90 max-tablet:size-11"
        >
          {moving ? <Pause {...ICON} /> : <Play {...ICON} />}
        </button>
        <IconButton label={m.editor.frameOn} hint={"\u2192"} onClick={() => transport.step(1)}>
          <ChevronRight {...ICON} />
        </IconButton>
        <IconButton
          label={m.editor.toOut}
          hint="Shift+O"
          onClick={() => moves.jump("out")}
          className="max-tablet:hidden"
        >
          <SkipForward {...ICON} />
        </IconButton>
        <Button size="dense" className="ml-1" title={`${m.editor.setIn} (I)`} onClick={() => moves.set("in")}>
          {m.editor.setIn}
        </Button>
        <Button size="dense" title={`${m.editor.setOut} (O)`} onClick={() => moves.set("out")}>
          {m.editor.setOut}
        </Button>
        <span role="status" className="num w-14 text-center text-dense text-ink-2 max-tablet:hidden">
          {moving && playing.speed !== 1 ? m.editor.speed(playing.speed) : ""}
        </span>
      </div>
      <div className="flex flex-1 items-center justify-end gap-1 max-tablet:hidden">
        <IconButton
          label={m.editor.loop}
          aria-pressed={playing.loop}
          onClick={() => transport.setLooping(!playing.loop)}
          className={cn(playing.loop && "bg-kept-soft text-kept hover:bg-kept-soft hover:text-kept")}
        >
          <Repeat {...ICON} />
        </IconButton>
        <IconButton
          label={playing.muted ? m.editor.unmute : m.editor.mute}
          hint="M"
          onClick={() => transport.mute()}
        >
          {playing.muted ? <VolumeX {...ICON} /> : <Volume2 {...ICON} />}
        </IconButton>
        <IconButton label={m.editor.zoomOut} hint={"\u2212"} onClick={() => zoom.onLevel(zoom.level - 0.08)}>
          <Minus {...ICON} />
        </IconButton>
        <input
          type="range"
          min={0}
          max={100}
          value={Math.round(zoom.level * 100)}
          aria-label={m.editor.zoom}
          aria-valuetext={m.editor.shown(zoom.shownMs)}
          onChange={(event) => zoom.onLevel(Number(event.target.value) / 100)}
          className="w-[110px] accent-water max-laptop:hidden"
        />
        <IconButton label={m.editor.zoomIn} hint="+" onClick={() => zoom.onLevel(zoom.level + 0.08)}>
          <Plus {...ICON} />
        </IconButton>
        <span className="num w-[92px] text-right text-dense text-ink-2 max-laptop:hidden">
          {m.editor.shown(zoom.shownMs)}
        </span>
      </div>
    </div>
  );
}

/** A time to type. It takes effect on Enter or when it is left; what is no time goes back to what it was. */
function TimeField({ edge, ms, onTime }: { edge: Edge; ms: number; onTime: (ms: number) => void }) {
  const [typed, setTyped] = useState<string | null>(null);
  const shown = timecode(ms);
  useEffect(() => {
    if (typed === shown) setTyped(null);
  }, [typed, shown]);
  const wrong = typed !== null && readTimecode(typed) === null;
  const take = () => {
    const time = typed === null ? null : readTimecode(typed);
    setTyped(null);
    if (time !== null && typed !== shown) onTime(time);
  };
  return (
    <label className="flex h-[30px] items-center gap-1.5 rounded-control border border-line bg-raised pl-2.5 text-dense focus-within:border-line-2 max-tablet:h-11 max-tablet:flex-1">
      <span className="text-ink-2">{edge === "in" ? m.editor.in : m.editor.out}</span>
      <input
        value={typed ?? shown}
        inputMode="decimal"
        autoComplete="off"
        spellCheck={false}
        aria-label={edge === "in" ? m.editor.inTime : m.editor.outTime}
        aria-invalid={wrong || undefined}
        onChange={(event) => setTyped(event.target.value)}
        onFocus={(event) => event.target.select()}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
          if (event.key === "Escape") setTyped(null);
        }}
        className="num h-full w-[88px] min-w-0 rounded-r-control bg-transparent px-1 font-control text-kept max-tablet:w-full max-tablet:text-[16px]"
      />
    </label>
  );
}
