// A whole past broadcast: the picture, and the deck with its river under it.
import { AudioLines, RotateCcw, Scissors } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { m } from "@/messages";
import { Button, IconButton } from "@/ui/button";
import { clock, spoken } from "@/ui/format";
import { useKeys } from "@/ui/hooks";
import { StillWater } from "@/ui/logo";
import { setTheatre } from "@/ui/media-elements";
import { Pill } from "@/ui/pill";
import { River, type RiverClip } from "@/ui/river";
import { type Source, useReplay } from "./use-replay";

const CONTROLLER = "oxbow-replay";

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
    else if (video.current?.paused) void video.current.play().catch(() => {});
    else video.current?.pause();
  };
  useKeys({
    " ": toggle,
    k: toggle,
    j: () => step(-10_000),
    l: () => step(10_000),
    arrowleft: ({ shiftKey }) => step(shiftKey ? -60_000 : -5_000),
    arrowright: ({ shiftKey }) => step(shiftKey ? 60_000 : 5_000),
    home: () => toPart(0),
    end: () => toPart(1),
    ...Object.fromEntries([...Array(10).keys()].map((tenth) => [String(tenth), () => toPart(tenth / 10)])),
    m: () => {
      if (video.current) video.current.muted = !video.current.muted;
    },
    f: () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else void frame.current?.requestFullscreen?.();
    },
    p: () => void video.current?.requestPictureInPicture?.().catch(() => {}),
    c: () => props.onClip?.(positionMs),
  });
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
          <Words title={m.broadcast.finished}>
            <Button variant="stage" onClick={() => go(0)}>
              {m.broadcast.again}
            </Button>
          </Words>
        )}
        {view.kind === "failed" && (
          <Words
            title={view.why === "gone" ? m.broadcast.gone : m.broadcast.failed}
            text={view.why === "unsupported" ? m.broadcast.failedFormat : m.broadcast.failedText}
          >
            <Button variant="stage" onClick={() => go(positionMs)}>
              {m.app.tryAgain}
            </Button>
          </Words>
        )}
        {replay.loading && props.source.kind === "file" && <Words title={m.broadcast.preparing} />}
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
          <media-play-button mediacontroller={CONTROLLER} title={`${m.watch.play} (K)`} />
          <IconButton
            label={m.watch.keys.back}
            hint="J"
            onClick={() => step(-10_000)}
            className="max-tablet:hidden"
          >
            <RotateCcw aria-hidden className="size-[18px]" strokeWidth={1.75} />
          </IconButton>
          <media-mute-button mediacontroller={CONTROLLER} title={`${m.watch.mute} (M)`} />
          <media-volume-range mediacontroller={CONTROLLER} className="mr-2 max-tablet:hidden" />
          <Pill tone="past">{m.pill.replay}</Pill>
          <span className="num mx-1.5 font-control" data-position={Math.round(positionMs)}>
            <span className="sr-only">{m.watch.clock} </span>
            {clock(positionMs)}
          </span>
          <span className="flex-1" />
          {props.onClip && (
            <Button
              variant="kept"
              title={`${m.clipSheet.tip} (C)`}
              onClick={() => props.onClip?.(positionMs)}
              className="max-tablet:px-3"
            >
              <Scissors aria-hidden className="size-[15px]" strokeWidth={1.75} />
              <span className="max-[359px]:sr-only">{m.watch.clip}</span>
            </Button>
          )}
          <media-pip-button
            mediacontroller={CONTROLLER}
            title={`${m.watch.pip} (P)`}
            className="max-tablet:hidden"
          />
          <media-fullscreen-button mediacontroller={CONTROLLER} title={`${m.watch.fullscreen} (F)`} />
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
      <Words title={title} text={text} line>
        {children}
      </Words>
    </section>
  );
}

function Words({
  title,
  text,
  line = false,
  children,
}: {
  title: string;
  text?: string;
  line?: boolean;
  children?: ReactNode;
}) {
  return (
    <div
      role="status"
      className="appear absolute inset-0 z-[1] grid place-content-center justify-items-center gap-2.5 bg-veil px-5 text-center"
    >
      {line && <StillWater className="mb-1.5 w-[220px] max-tablet:w-[150px] [&>path]:stroke-stage-water" />}
      <h2 className="max-w-[760px] text-[26px] leading-8 text-balance max-tablet:text-[18px] max-tablet:leading-6">
        {title}
      </h2>
      {text && (
        <p className="max-w-[480px] text-balance text-reading text-stage-ink-2 max-tablet:text-dense">
          {text}
        </p>
      )}
      {children}
    </div>
  );
}
