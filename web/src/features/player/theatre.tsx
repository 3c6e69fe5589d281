// The picture and the deck under it. What the page around them shows does not belong here.
import { ChevronLeft } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Link } from "react-router";
import { m } from "@/messages";
import type { PlayerView } from "@/rtc/player-view";
import { prepareRewind } from "@/rtc/rewind";
import { cn } from "@/ui/cn";
import { setTheatre } from "@/ui/media-elements";
import { togglePlaying, useMediaKeys } from "@/ui/media-keys";
import type { RiverClip } from "@/ui/river";
import { Deck } from "./deck";
import { Screen, type Sound } from "./screen";
import { Slate } from "./slate";
import type { Seat } from "./use-player";
import { useRewind } from "./use-rewind";

export const CONTROLLER = "oxbow-live";

type Props = {
  seat: Seat | null;
  view: PlayerView;
  channel: string;
  clips: readonly RiverClip[];
  ticks: readonly number[];
  fresh: ReadonlySet<string>;
  /** The newest clip's first picture: stands in until the live one is there. */
  poster: string | null;
  recording: boolean;
  /** `shownAt` is the past moment on the screen, UTC milliseconds; null: the live one. */
  onClip: (shownAt: number | null) => void;
  /** The viewer left the live for a past moment, or came back. */
  onRewound: (rewound: boolean) => void;
  /** What the viewer opened over the picture. */
  sheet: ReactNode;
  onOpenClip: (id: string) => void;
  onRetry: () => void;
  /** Of the last broadcast, for those who come too late. */
  recordingOf: string | null;
};

const silent = () => () => {};

export function Theatre(props: Props) {
  const { seat, view, channel } = props;
  const video = useRef<HTMLVideoElement>(null);
  const held = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLElement>(null);
  const [screen, setScreen] = useState<Screen | null>(null);
  const idle = useIdle(frame);

  useEffect(() => {
    if (!seat || !video.current || !held.current) return;
    const made = new Screen(video.current, held.current, () => seat.player.shown());
    setScreen(made);
    return () => made.close();
  }, [seat]);

  useEffect(() => screen?.show(view.stream), [screen, view.stream]);
  useEffect(() => setTheatre(CONTROLLER, frame.current), []);

  const sound = useSyncExternalStore<Sound>(
    screen?.sound.subscribe ?? silent,
    screen?.sound.snapshot ?? (() => "on"),
  );
  const rewind = useRewind({ seat, view, screen, video });
  const { onRewound } = props;
  const isPast = rewind.behind !== null;
  useEffect(() => onRewound(isPast), [onRewound, isPast]);

  useMediaKeys(
    {
      video,
      frame,
      toggle: () => togglePlaying(video.current),
      step: rewind.step,
      toPart: rewind.toPart,
    },
    {
      end: rewind.toLive,
      c: () => props.onClip(rewind.behind?.at ?? null),
      g: rewind.toLive,
      ...(sound === "blocked" && { m: () => screen?.soundOn() }),
    },
  );

  const dimmed =
    !rewind.rewound && ["waiting", "interrupted", "ended", "unplayable", "refused"].includes(view.state.kind);
  const soundOnly = "live" in view.state && view.state.live.video === null && view.state.live.audio !== null;
  return (
    <section ref={frame} className="theatre" aria-label={m.watch.player} data-idle={idle || undefined}>
      <div
        id="content"
        tabIndex={-1}
        data-state={view.state.kind}
        data-rewound={rewind.rewound || undefined}
        className="relative aspect-video max-h-[calc(100dvh-226px)] min-h-[180px] w-full overflow-hidden bg-stage text-stage-ink outline-none max-tablet:max-h-[62dvh] [@media(max-height:480px)_and_(orientation:landscape)]:max-h-dvh"
      >
        {props.poster && (view.state.kind === "connecting" || view.state.kind === "joining") && (
          <img
            src={props.poster}
            alt=""
            className="absolute inset-0 size-full object-contain brightness-[0.42]"
          />
        )}
        <canvas
          ref={held}
          aria-hidden
          className={cn(
            "pointer-events-none absolute inset-0 size-full object-contain",
            dimmed && "scale-105 blur-[10px] brightness-[0.42] saturate-[0.35]",
          )}
        />
        <media-controller id={CONTROLLER} nohotkeys className="absolute inset-0">
          {/* biome-ignore lint/a11y/useMediaCaption: a live camera has no captions in this product yet */}
          <video
            ref={video}
            slot="media"
            playsInline
            autoPlay
            className={cn(
              "size-full bg-transparent object-contain",
              dimmed && "scale-105 blur-[10px] brightness-[0.42] saturate-[0.35]",
            )}
          />
        </media-controller>
        {(!rewind.rewound || soundOnly) && (
          <Slate
            view={view}
            channel={channel}
            soundOnly={soundOnly}
            recordingOf={props.recordingOf}
            onRetry={props.onRetry}
            onReplay={rewind.canReplay ? () => rewind.toPart(0) : null}
          />
        )}
        <BackButton />
        {props.sheet}
      </div>
      <Deck
        controller={CONTROLLER}
        view={view}
        channel={channel}
        clips={props.clips}
        ticks={props.ticks}
        fresh={props.fresh}
        span={rewind.span}
        behind={rewind.behind}
        onSeek={rewind.possible ? rewind.seek : null}
        onPrepare={prepareRewind}
        onBack={() => rewind.step(-10_000)}
        serverNow={() => seat?.player.serverNow ?? Date.now()}
        soundBlocked={sound === "blocked" && (view.stream !== null || rewind.rewound)}
        canClip={props.recording && (view.state.kind === "live" || view.state.kind === "joining")}
        onSound={() => screen?.soundOn()}
        onLive={rewind.toLive}
        onClip={() => props.onClip(rewind.behind?.at ?? null)}
        onQuality={(height) => seat?.player.choose(height)}
        onOpenClip={props.onOpenClip}
      />
    </section>
  );
}

/** On the phone the watch page has no top bar. */
function BackButton(): ReactNode {
  return (
    <Link
      to="/"
      aria-label={m.watch.back}
      className="absolute top-2 left-2 grid size-10 place-items-center rounded-full bg-veil text-stage-ink tablet:hidden"
    >
      <ChevronLeft aria-hidden className="size-[18px]" strokeWidth={1.75} />
    </Link>
  );
}

/** Nothing has been pointed at or pressed for three seconds; full screen hides its deck then. */
function useIdle(frame: { current: HTMLElement | null }): boolean {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    let timer: ReturnType<typeof setTimeout>;
    const heard = () => {
      clearTimeout(timer);
      setIdle(false);
      timer = setTimeout(() => setIdle(document.fullscreenElement !== null), 3_000);
    };
    const events = ["pointermove", "pointerdown", "keydown", "fullscreenchange"];
    for (const event of events) element.addEventListener(event, heard);
    return () => {
      clearTimeout(timer);
      for (const event of events) element.removeEventListener(event, heard);
    };
  }, [frame]);
  return idle;
}
