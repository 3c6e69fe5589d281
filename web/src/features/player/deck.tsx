import { VolumeX } from "lucide-react";
import { m } from "@/messages";
import type { PlayerView } from "@/rtc/player-view";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { clock, spoken } from "@/ui/format";
import { useNow } from "@/ui/hooks";
import { ClipButton, PlayControls, ScreenControls } from "@/ui/media-deck";
import { Pill } from "@/ui/pill";
import { River, type RiverClip } from "@/ui/river";
import { QualityMenu } from "./quality";

/** The broadcast that the deck is about, on the air or over. */
export type Span = { startedAt: number; endedAt: number | null };

/** How far from the live edge the viewer is. */
export type Behind = {
  /** UTC milliseconds of the moment that is shown. */
  at: number;
  /** Its picture stands still. */
  paused: boolean;
};

type Props = {
  controller: string;
  view: PlayerView;
  channel: string;
  clips: readonly RiverClip[];
  ticks: readonly number[];
  fresh: ReadonlySet<string>;
  span: Span | null;
  /** Null at the live edge. */
  behind: Behind | null;
  /** Absent where the broadcast cannot be rewound. */
  onSeek: ((at: number) => void) | null;
  onPrepare: () => void;
  onBack: () => void;
  serverNow: () => number;
  soundBlocked: boolean;
  canClip: boolean;
  onSound: () => void;
  onLive: () => void;
  onClip: () => void;
  onQuality: (height: number | null) => void;
  onOpenClip: (id: string) => void;
};

/** Always visible under the picture: the river, and the controls. */
export function Deck(props: Props) {
  const { view, controller } = props;
  // The clock ticks by itself; which time it is the server says.
  useNow(props.behind ? 250 : 1_000);
  const { span, behind, onSeek } = props;
  const now = props.serverNow();
  const live = "live" in view.state ? view.state.live : null;
  const elapsed = span ? Math.max(1_000, (span.endedAt ?? now) - span.startedAt) : 0;
  const position = span && behind ? Math.min(elapsed, Math.max(0, behind.at - span.startedAt)) : null;
  const playing = (view.stream !== null && live !== null) || behind !== null;
  const said = (at: number | null) => {
    if (span?.endedAt != null) return m.river.place(spoken(at ?? elapsed), spoken(elapsed));
    return at === null
      ? m.river.atLive(spoken(elapsed))
      : m.river.behind(spoken(elapsed - at), spoken(elapsed));
  };
  return (
    <div className="deck border-b border-line bg-surface px-4 pt-1.5 pb-[7px] max-tablet:px-2 max-tablet:pt-1 max-tablet:pb-1">
      {span && (live || behind) && (
        <div className="flex items-center gap-3">
          <span className="num text-caption text-ink-3 max-tablet:hidden">0:00</span>
          <River
            className="mx-0.5 flex-1 max-tablet:mx-2"
            durationMs={elapsed}
            clips={props.clips}
            ticks={props.ticks}
            fresh={props.fresh}
            edge={span.endedAt !== null ? undefined : onAir(view) ? "live" : "gone"}
            seek={
              onSeek
                ? {
                    positionMs: position,
                    label: m.river.seek,
                    spoken: said,
                    onSeek: (ms) => onSeek(span.startedAt + ms),
                    onPrepare: props.onPrepare,
                  }
                : undefined
            }
            label={m.river.label(clock(elapsed), props.clips.length)}
            onOpen={props.onOpenClip}
          />
        </div>
      )}
      <div className="flex h-[42px] items-center gap-1 max-tablet:h-[46px] max-tablet:gap-0.5">
        {playing && (
          <PlayControls
            controller={controller}
            onBack={onSeek && props.onBack}
            muteClass={props.soundBlocked ? "max-tablet:hidden" : ""}
          />
        )}
        <LivePill
          view={view}
          channel={props.channel}
          span={span}
          behindMs={behind ? now - behind.at : null}
          onLive={props.onLive}
        />
        {span && (live || behind) && (
          <span className={cn("num mx-1.5 font-control", props.soundBlocked && "max-tablet:hidden")}>
            <span className="sr-only">{m.watch.clock} </span>
            {clock(position ?? elapsed)}
          </span>
        )}
        {props.soundBlocked && (
          <Button size="dense" className="min-w-0 max-tablet:ml-1" onClick={props.onSound}>
            <VolumeX aria-hidden className="size-[15px]" strokeWidth={1.75} />
            <span className="truncate max-tablet:hidden">{m.watch.soundOn}</span>
            <span className="tablet:hidden">{m.watch.soundOnShort}</span>
          </Button>
        )}
        <span className="flex-1" />
        {props.canClip && <ClipButton onClip={props.onClip} />}
        {playing && (
          <>
            <QualityMenu heights={view.heights} quality={view.quality} onQuality={props.onQuality} />
            <ScreenControls controller={controller} />
          </>
        )}
      </div>
    </div>
  );
}

/** 42 s, then 3:05. */
function lag(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  return seconds < 60 ? `${seconds}\u2009s` : clock(seconds * 1_000);
}

function onAir(view: PlayerView): boolean {
  return view.state.kind === "live" || view.state.kind === "joining";
}

function LivePill({
  view,
  channel,
  span,
  behindMs,
  onLive,
}: {
  view: PlayerView;
  channel: string;
  span: Span | null;
  behindMs: number | null;
  onLive: () => void;
}) {
  const { state } = view;
  const word = () => {
    switch (state.kind) {
      case "waiting":
        return m.pill.waitingFor(`@${channel}`);
      case "interrupted":
        return m.pill.waitingFor(`@${channel}`);
      case "reconnecting":
        return m.pill.reconnecting;
      case "ended":
        return m.pill.ended;
      case "unplayable":
        return m.pill.onAir;
      case "refused":
        return m.pill.offline;
      default:
        return m.pill.joining;
    }
  };
  if (behindMs !== null && span?.endedAt != null) return <Pill tone="past">{m.pill.replay}</Pill>;
  if (behindMs !== null) {
    return (
      <Button size="dense" title={`${m.pill.backToLive} (G)`} onClick={onLive} className="num min-w-0 shrink">
        <span aria-hidden className="size-[7px] shrink-0 rounded-full bg-live-fill" />
        <span className="truncate">
          {m.pill.behind(lag(behindMs))}
          <span className="max-tablet:sr-only">. {m.pill.backToLive}</span>
        </span>
      </Button>
    );
  }
  if (state.kind === "live") {
    const sound = state.live.video === null && state.live.audio !== null;
    return <Pill tone="live">{sound ? m.pill.onAir : m.pill.live}</Pill>;
  }
  return (
    <Pill tone={state.kind === "ended" ? "past" : "plain"} className="min-w-0 shrink">
      <span className="truncate">{word()}</span>
    </Pill>
  );
}
