import { AudioLines } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { Link } from "react-router";
import { m } from "@/messages";
import type { PlayerView } from "@/rtc/player-view";
import { Button } from "@/ui/button";
import { codecName } from "@/ui/format";
import { useNow } from "@/ui/hooks";
import { BrokenLine, StillWater } from "@/ui/logo";
import { OverPicture } from "@/ui/over-picture";

/** Over the picture when there is none to see: who, what happens next by itself, one useful action. */
export function Slate({
  view,
  channel,
  soundOnly,
  recordingOf,
  onRetry,
  onReplay,
}: {
  view: PlayerView;
  channel: string;
  soundOnly: boolean;
  recordingOf: string | null;
  onRetry: () => void;
  /** Plays the broadcast that has just ended from its start; null where that cannot be. */
  onReplay: (() => void) | null;
}) {
  const { state } = view;
  switch (state.kind) {
    case "connecting":
    case "joining":
      return soundOnly ? <SoundOnly channel={channel} /> : <Joining key={state.kind} />;
    case "waiting":
      return (
        <OverPicture
          line={<StillWater className="w-[220px] max-tablet:w-[150px] [&>path]:stroke-stage-water" />}
          title={m.watch.waiting(`@${channel}`)}
          text={m.watch.waitingText}
        >
          {recordingOf && <ToRecording to={recordingOf}>{m.watch.lastBroadcast}</ToRecording>}
        </OverPicture>
      );
    case "live":
      if (soundOnly) return <SoundOnly channel={channel} />;
      return view.picturesPaused ? <PicturesPaused /> : null;
    case "reconnecting":
      return <Reconnecting since={state.since} />;
    case "interrupted":
      return (
        <OverPicture
          line={<BrokenLine className="w-[220px] max-tablet:w-[150px]" />}
          title={m.watch.interrupted(`@${channel}`)}
          text={m.watch.interruptedText}
        />
      );
    case "ended":
      return (
        <OverPicture
          line={<StillWater className="w-[220px] max-tablet:w-[150px] [&>path]:stroke-stage-water" />}
          title={m.watch.ended(`@${channel}`)}
          text={state.ended.recording ? m.watch.endedText : m.watch.endedPlain}
        >
          {onReplay && (
            <Button variant="stage" onClick={onReplay}>
              {m.watch.fromStart}
            </Button>
          )}
          {state.ended.recording && (
            <ToRecording to={state.ended.recording}>{m.watch.openRecording}</ToRecording>
          )}
        </OverPicture>
      );
    case "unplayable":
      return (
        <OverPicture title={m.watch.unplayable(codecName(state.live.video))} text={m.watch.unplayableText}>
          <Button variant="stage" onClick={onRetry}>
            {m.app.tryAgain}
          </Button>
        </OverPicture>
      );
    case "refused":
      return (
        <OverPicture
          title={m.watch.refused}
          text={state.code === "full" ? m.watch.refusedFull : state.detail}
        >
          <Button variant="stage" onClick={onRetry}>
            {m.app.tryAgain}
          </Button>
        </OverPicture>
      );
  }
}

function ToRecording({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Button asChild variant="stage">
      <Link to={to}>{children}</Link>
    </Button>
  );
}

/** Nothing for the first moment, then what is being waited for. */
function Joining() {
  const [said, setSaid] = useState<"" | "joining" | "slow">("");
  useEffect(() => {
    const first = setTimeout(() => setSaid("joining"), 400);
    const second = setTimeout(() => setSaid("slow"), 4_000);
    return () => {
      clearTimeout(first);
      clearTimeout(second);
    };
  }, []);
  return (
    <div
      role="status"
      className="absolute inset-0 grid place-content-center justify-items-center gap-2 text-center text-reading text-stage-ink-2"
    >
      {said !== "" && (
        <>
          <StillWater className="appear w-[150px] [&>path]:stroke-stage-water" />
          <span className="appear">{said === "slow" ? m.watch.joiningSlow : m.watch.joining}</span>
        </>
      )}
    </div>
  );
}

/** The last frame stays for four seconds; then it is said what is wrong. */
function Reconnecting({ since }: { since: number }) {
  const now = useNow(500);
  if (now - since < 4_000) return null;
  return (
    <div className="absolute inset-0 bg-veil">
      <OverPicture
        line={<BrokenLine className="w-[220px] max-tablet:w-[150px]" />}
        title={m.watch.reconnecting}
        text={m.watch.reconnectingText}
      />
    </div>
  );
}

/** The last frame stays under it, and the sound goes on. */
function PicturesPaused() {
  return (
    <div className="absolute inset-0 bg-veil">
      <OverPicture
        line={<AudioLines aria-hidden className="size-14 text-stage-water" strokeWidth={1.75} />}
        title={m.watch.picturesPaused}
        text={m.watch.picturesPausedText}
      />
    </div>
  );
}

function SoundOnly({ channel }: { channel: string }) {
  return (
    <div className="absolute inset-0 grid place-content-center justify-items-center gap-3 text-center">
      <AudioLines aria-hidden className="size-14 text-stage-water" strokeWidth={1.75} />
      <p className="text-[26px] leading-8 font-heading">@{channel}</p>
      <p className="text-reading text-stage-ink-2">{m.watch.soundOnly}</p>
    </div>
  );
}
