// A whole past broadcast: the picture, and the deck with its river under it.
import { AudioLines } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { clock, spoken } from "@/ui/format";
import { StillWater } from "@/ui/logo";
import { ClipButton, PlayControls, ScreenControls } from "@/ui/media-deck";
import { setTheatre } from "@/ui/media-elements";
import { togglePlaying, useMediaKeys } from "@/ui/media-keys";
import { OverPicture } from "@/ui/over-picture";
import { Pill } from "@/ui/pill";
import { River, type RiverClip } from "@/ui/river";
import { type Source, useReplay } from "./use-replay";

const CONTROLLER = "oxbow-replay";
const WATER = "w-[220px] max-tablet:w-[150px] [&>path]:stroke-stage-water";

type Props = {
  source: Source;
  startedAt: number;
  durationMs: number;
  live: boolean;
  /** Where to begin, milliseconds since the broadcast began. */
  startMs: number;
  poster: string | null;
  soundOnly: boolean;
  clips: readonly RiverClip[];
  ticks: readonly number[];
  fresh: ReadonlySet<string>;
  onOpenClip: (id: string) => void;
  /** Somebody wants to keep what they just saw; null where nothing can be cut. */
  onClip: ((positionMs: number) => void) | null;
  /** What was opened over the picture. */
  sheet: ReactNode;
};

export function ReplayPlayer(props: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLElement>(null);
  const replay = useReplay(video, props.source, props.startedAt, props.startMs);
  const { view, positionMs, seek, step, toPart } = replay;
  const whole = Math.max(1_000, props.durationMs, replay.toMs);
  useEffect(() => setTheatre(CONTROLLER, frame.current), []);

  const go = (ms: number) => {
    seek(ms);
    void video.current?.play().catch(() => {});
  };
  const toggle = () => {
    if (view.kind === "finished") go(replay.fromMs);
    else togglePlaying(video.current);
  };
  useMediaKeys({ video, frame, toggle, step, toPart }, { c: () => props.onClip?.(positionMs) });
  return (
    <section ref={frame} className="theatre" aria-label={m.watch.player}>
      <div
        id="content"
        tabIndex={-1}
        data-replay={view.kind}
        className="relative aspect-video max-h-[calc(100dvh-226px)] min-h-[180px] w-full overflow-hidden bg-stage text-stage-ink outline-none max-tablet:max-h-[62dvh]"
      >
        <media-controller id={CONTROLLER} nohotkeys className="absolute inset-0">
          {/* biome-ignore lint/a11y/useMediaCaption: recordings have no captions in this product yet */}
          <video
            ref={video}
            slot="media"
            poster={props.poster ?? undefined}
            playsInline
            className="size-full bg-transparent object-contain"
          />
        </media-controller>
        {props.soundOnly && (
          <span className="pointer-events-none absolute inset-0 grid place-items-center">
            <AudioLines aria-hidden className="size-14 text-stage-water" strokeWidth={1.75} />
          </span>
        )}
        {view.kind === "finished" && (
          <OverPicture className="bg-veil" title={m.broadcast.finished}>
            <Button variant="stage" onClick={() => go(0)}>
              {m.broadcast.again}
            </Button>
          </OverPicture>
        )}
        {view.kind === "failed" && (
          <OverPicture
            className="bg-veil"
            title={view.why === "gone" ? m.broadcast.gone : m.broadcast.failed}
            text={view.why === "unsupported" ? m.broadcast.failedFormat : m.broadcast.failedText}
          >
            <Button variant="stage" onClick={() => go(positionMs)}>
              {m.app.tryAgain}
            </Button>
          </OverPicture>
        )}
        {replay.loading && props.source.kind === "file" && (
          <OverPicture className="bg-veil" title={m.broadcast.preparing} />
        )}
        {props.sheet}
      </div>
      <div className="deck border-b border-line bg-surface px-4 pt-1.5 pb-[7px] max-tablet:px-2 max-tablet:pt-1 max-tablet:pb-1">
        <div className="flex items-center gap-3">
          <span className="num text-caption text-ink-3 max-tablet:hidden">0:00</span>
          <River
            className="mx-0.5 flex-1 max-tablet:mx-2"
            durationMs={whole}
            clips={props.clips}
            ticks={props.ticks}
            fresh={props.fresh}
            {...(props.live ? { edge: "live" as const } : {})}
            seek={{
              positionMs: Math.min(whole, positionMs),
              label: m.river.seek,
              spoken: (at) => m.river.place(spoken(at ?? 0), spoken(whole)),
              onSeek: seek,
            }}
            label={m.river.whole(clock(whole), props.clips.length)}
            onOpen={props.onOpenClip}
          />
          <span className="num text-caption text-ink-3 max-tablet:hidden">{clock(whole)}</span>
        </div>
        <div className="flex h-[42px] items-center gap-1 max-tablet:h-[46px] max-tablet:gap-0.5">
          <PlayControls controller={CONTROLLER} onBack={() => step(-10_000)} />
          <Pill tone="past">{m.pill.replay}</Pill>
          <span className="num mx-1.5 font-control" data-position={Math.round(positionMs)}>
            <span className="sr-only">{m.watch.clock} </span>
            {clock(positionMs)}
          </span>
          <span className="flex-1" />
          {props.onClip && <ClipButton onClip={() => props.onClip?.(positionMs)} />}
          <ScreenControls controller={CONTROLLER} />
        </div>
      </div>
    </section>
  );
}

/** In place of the picture: why there is none, and one useful action. */
export function NoPicture({ title, text, children }: { title: string; text: string; children?: ReactNode }) {
  return (
    <section
      id="content"
      tabIndex={-1}
      aria-label={m.watch.player}
      className="relative aspect-video max-h-[calc(100dvh-360px)] min-h-[260px] w-full overflow-hidden border-b border-line bg-stage text-stage-ink outline-none max-tablet:max-h-[62dvh]"
    >
      <OverPicture className="bg-veil" line={<StillWater className={WATER} />} title={title} text={text}>
        {children}
      </OverPicture>
    </section>
  );
}
