import { Scissors, VolumeX } from "lucide-react";
import { m } from "@/messages";
import type { PlayerView } from "@/rtc/player";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { clock } from "@/ui/format";
import { useNow } from "@/ui/hooks";
import { Pill } from "@/ui/pill";
import { River, type RiverClip } from "@/ui/river";
import { QualityMenu } from "./quality";

type Props = {
  controller: string;
  view: PlayerView;
  channel: string;
  clips: readonly RiverClip[];
  ticks: readonly number[];
  fresh: ReadonlySet<string>;
  paused: boolean;
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
  const now = useNow();
  const live = "live" in view.state ? view.state.live : null;
  const elapsed = live ? Math.max(1_000, now - live.startedAt) : 0;
  const playing = view.stream !== null && live !== null;
  return (
    <div className="deck border-b border-line bg-surface px-4 pt-1.5 pb-[7px] max-tablet:px-2 max-tablet:pt-1 max-tablet:pb-1">
      {live && (
        <div className="flex items-center gap-3">
          <span className="num text-caption text-ink-3 max-tablet:hidden">0:00</span>
          <River
            className="mx-0.5 flex-1 max-tablet:mx-2"
            durationMs={elapsed}
            clips={props.clips}
            ticks={props.ticks}
            fresh={props.fresh}
            edge={view.state.kind === "live" || view.state.kind === "joining" ? "live" : "gone"}
            label={m.river.label(clock(elapsed), props.clips.length)}
            onOpen={props.onOpenClip}
          />
        </div>
      )}
      <div className="flex h-[42px] items-center gap-1 max-tablet:h-[46px] max-tablet:gap-0.5">
        {playing && (
          <>
            <media-play-button mediacontroller={controller} title={`${m.watch.play} (K)`} />
            <media-mute-button
              mediacontroller={controller}
              title={`${m.watch.mute} (M)`}
              className={props.soundBlocked ? "max-tablet:hidden" : ""}
            />
            <media-volume-range mediacontroller={controller} className="mr-2 max-tablet:hidden" />
          </>
        )}
        <LivePill view={view} channel={props.channel} paused={props.paused} onLive={props.onLive} />
        {live && (
          <span className={cn("num mx-1.5 font-control", props.soundBlocked && "max-tablet:hidden")}>
            <span className="sr-only">{m.watch.clock} </span>
            {clock(elapsed)}
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
        {props.canClip && (
          <Button
            variant="kept"
            title={`${m.watch.clipTip} (C)`}
            onClick={props.onClip}
            className="max-tablet:px-3"
          >
            <Scissors aria-hidden className="size-[15px]" strokeWidth={1.75} />
            <span className="max-tablet:hidden">{m.watch.clipNow}</span>
            <span className="max-[359px]:sr-only tablet:hidden">{m.watch.clip}</span>
            <kbd className="rounded-picture border border-current px-[5px] text-caption leading-[15px] font-control max-tablet:hidden">
              C
            </kbd>
          </Button>
        )}
        {playing && (
          <>
            <QualityMenu heights={view.heights} quality={view.quality} onQuality={props.onQuality} />
            <media-pip-button
              mediacontroller={controller}
              title={`${m.watch.pip} (P)`}
              className="max-tablet:hidden"
            />
            <media-fullscreen-button mediacontroller={controller} title={`${m.watch.fullscreen} (F)`} />
          </>
        )}
      </div>
    </div>
  );
}

function LivePill({
  view,
  channel,
  paused,
  onLive,
}: {
  view: PlayerView;
  channel: string;
  paused: boolean;
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
  if (state.kind === "live" && paused) {
    return (
      <Button size="dense" onClick={onLive}>
        <span aria-hidden className="size-[7px] rounded-full bg-live-fill" />
        {m.pill.paused}. {m.pill.backToLive}
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
