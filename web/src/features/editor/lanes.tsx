// What the timeline shows below its handles: ruler, pictures, keyframes, sound.
import { useEffect, useMemo, useRef, useState } from "react";
import { m } from "@/messages";
import { clock } from "@/ui/format";
import { timecode } from "./range";
import { type Cue, columns, type Peaks, tiles, wavePath } from "./strips";
import { between, marks, type Span, toPx } from "./view";

type Lane = { view: Span; width: number; clip: Span };

export function Ruler({ view, width }: { view: Span; width: number }) {
  const { stepMs, marks: lines } = useMemo(() => marks(view, width), [view, width]);
  const say = (ms: number) => (stepMs < 1_000 ? timecode(ms).replace(/0$/, "") : clock(ms));
  return (
    <div
      aria-hidden
      className="num relative h-[26px] overflow-clip border-b border-line text-caption text-ink-3"
    >
      {lines.map(({ ms, major }) => (
        <span
          key={ms}
          className={major ? "absolute bottom-0 h-2 w-px bg-line-2" : "absolute bottom-0 h-1 w-px bg-line"}
          style={{ left: toPx(ms, view, width) }}
        >
          {major && <span className="absolute bottom-1.5 left-1.5">{say(ms)}</span>}
        </span>
      ))}
    </div>
  );
}

/** Sheets that were loaded, by address; drawn when they are there. */
function useSheets(cues: readonly Cue[]): ReadonlyMap<string, HTMLImageElement> {
  const [sheets, setSheets] = useState<ReadonlyMap<string, HTMLImageElement>>(new Map());
  const addresses = useMemo(() => [...new Set(cues.map((cue) => cue.sheet))], [cues]);
  useEffect(() => {
    let gone = false;
    setSheets(new Map());
    for (const address of addresses) {
      const image = new Image();
      image.onload = () => !gone && setSheets((before) => new Map(before).set(address, image));
      image.src = address;
    }
    return () => {
      gone = true;
    };
  }, [addresses]);
  return sheets;
}

export function Film({ view, width, clip, cues, height }: Lane & { cues: readonly Cue[]; height: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const sheets = useSheets(cues);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || width <= 0) return;
    const scale = window.devicePixelRatio || 1;
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
    context.scale(scale, scale);
    for (const { left, width: shown, cue } of tiles(cues, clip, view, width, height)) {
      const sheet = sheets.get(cue.sheet);
      if (!sheet) continue;
      const part = Math.min(1, shown / ((height * cue.width) / cue.height));
      context.drawImage(sheet, cue.x, cue.y, cue.width * part, cue.height, left, 0, shown - 1, height);
    }
  }, [view, width, height, clip, cues, sheets]);
  return (
    <div className="relative overflow-clip bg-sunk" style={{ height }}>
      <canvas ref={canvas} aria-hidden className="absolute inset-0 size-full" />
    </div>
  );
}

/** Where a cut needs no encoding. */
export function Keyframes({
  view,
  width,
  keyframesMs,
}: Omit<Lane, "clip"> & { keyframesMs: readonly number[] }) {
  const shown = useMemo(() => {
    const all = between(keyframesMs, { fromMs: view.fromMs, toMs: view.toMs + 1 });
    // More than one every three pixels would be a bar.
    const every = Math.max(1, Math.ceil((all.length * 3) / Math.max(1, width)));
    return all.filter((_, n) => n % every === 0);
  }, [keyframesMs, view, width]);
  return (
    <div
      role="img"
      aria-label={m.editor.keyframesSaid(keyframesMs.length)}
      className="relative h-5 overflow-clip border-b border-line bg-surface"
    >
      {shown.map((ms) => (
        <span
          key={ms}
          className="absolute top-[5px] h-2.5 w-px bg-ink-2"
          style={{ left: toPx(ms, view, width) }}
        />
      ))}
    </div>
  );
}

export function Wave({ view, width, clip, peaks, height }: Lane & { peaks: Peaks | null; height: number }) {
  const path = useMemo(
    () => (peaks && width > 0 ? wavePath(columns(peaks, clip, view, width), height) : ""),
    [peaks, clip, view, width, height],
  );
  const loudest = useMemo(() => (peaks ? Math.max(0, ...peaks.peaks) : null), [peaks]);
  return (
    <svg
      role="img"
      aria-label={m.editor.waveSaid(loudest === null ? null : Math.round(loudest * 100))}
      width={width}
      height={height}
      className="block overflow-hidden bg-surface"
    >
      <path d={path} className="fill-none stroke-water" strokeWidth={1} />
    </svg>
  );
}
