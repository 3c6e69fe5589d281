// What stands over the preview or above it when something is not as it should be: why, what is safe, one way on.
import type { ReactNode } from "react";
import { Link } from "react-router";
import { m } from "@/messages";
import { HOLD_MS } from "@/rtc/publisher";
import { Button } from "@/ui/button";
import { clock } from "@/ui/format";
import { useNow } from "@/ui/hooks";
import { BrokenLine, StillWater } from "@/ui/logo";
import { OverPicture } from "@/ui/over-picture";
import { toast } from "@/ui/toast";
import { type SessionView, studio, type Waiting } from "./session";
import type { SourceProblem } from "./sources";

/** Over the preview; null when there is nothing to say. */
export function noticeFor(
  view: SessionView,
  problem: SourceProblem | null,
  hasSource: boolean,
  facts: { clipCount: number; durationMs: number },
  goLive: () => void,
): ReactNode {
  const { publisher, waiting } = view;
  if (waiting) return <Back waiting={waiting} />;
  if (publisher.kind === "reconnecting") return <Reconnecting since={publisher.since} />;
  if (publisher.kind === "ended")
    return (
      <Over
        view={view}
        reason={publisher.reason}
        broadcast={publisher.broadcast}
        facts={facts}
        goLive={goLive}
      />
    );
  if (publisher.kind === "refused")
    return <Refused code={publisher.code} detail={publisher.detail} goLive={goLive} />;
  if (problem !== null && !hasSource) return <Problem problem={problem} />;
  return null;
}

function Reconnecting({ since }: { since: number }) {
  const left = Math.max(0, Math.ceil((since + HOLD_MS - useNow(500)) / 1_000));
  return (
    <OverPicture
      className="bg-stage/90"
      line={<BrokenLine className="w-[220px] max-tablet:w-[150px]" />}
      title={m.studio.reconnecting}
      text={m.studio.reconnectingText(left)}
    />
  );
}

/** The page was loaded anew on air. */
function Back({ waiting }: { waiting: Waiting }) {
  const left = Math.max(0, Math.ceil((waiting.left.leftAt + HOLD_MS - useNow(500)) / 1_000));
  const texts: Record<Waiting["for"], string> = {
    devices: m.studio.backDevices,
    press: m.studio.backPress,
    screen: m.studio.backScreen,
  };
  const end = async () => {
    const { ok } = await studio.endWaiting();
    if (!ok) toast({ text: m.studio.endFailed, tone: "error" });
  };
  const withScreen = async () => {
    await studio.sources.shareScreen();
    if (studio.sources.view.snapshot().sharing) studio.goOn();
  };
  const withDevices = async () => {
    await studio.sources.open();
    const { video, audio } = studio.sources.view.snapshot();
    if (video || audio) studio.goOn();
  };
  return (
    <OverPicture
      className="bg-stage/90"
      line={<BrokenLine className="w-[220px] max-tablet:w-[150px]" />}
      title={m.studio.back(waiting.left.channel)}
      text={`${texts[waiting.for]} ${m.studio.backLeft(left)}`}
    >
      {waiting.for === "screen" && (
        <Button variant="stage" onClick={() => void withScreen()}>
          {m.studio.backWithScreen}
        </Button>
      )}
      {waiting.for !== "devices" && (
        <Button variant="stage" onClick={() => void withDevices()}>
          {waiting.for === "screen" ? m.studio.backWithCamera : m.studio.backGoOn}
        </Button>
      )}
      <Button variant="stage" onClick={() => void end()}>
        {m.studio.end}
      </Button>
    </OverPicture>
  );
}

function Over({
  view,
  reason,
  broadcast,
  facts,
  goLive,
}: {
  view: SessionView;
  reason: "stopped" | "lost" | "shutdown" | "taken-over";
  broadcast: string;
  facts: { clipCount: number; durationMs: number };
  goLive: () => void;
}) {
  const words = {
    stopped: [m.studio.stopped, m.studio.stoppedText(clock(facts.durationMs), facts.clipCount)],
    lost: [m.studio.lost, m.studio.lostText],
    shutdown: [m.studio.shutdown, m.studio.shutdownText],
    "taken-over": [m.studio.takenOver, m.studio.takenOverText],
  } as const;
  const [title, text] = words[reason];
  return (
    <OverPicture
      className="bg-stage/90"
      line={<StillWater className="w-[180px] [&>path]:stroke-stage-water" />}
      title={title}
      text={text}
    >
      {reason === "taken-over" ? (
        <>
          <Button variant="stage" onClick={goLive}>
            {m.studio.takeBack}
          </Button>
          <Button variant="stage" asChild>
            <Link to={`/@${view.channel}`}>{m.studio.openPage}</Link>
          </Button>
        </>
      ) : (
        <>
          {facts.clipCount > 0 && (
            <Button variant="stage" asChild>
              <Link to={`/b/${broadcast}`}>{m.studio.openRecording}</Link>
            </Button>
          )}
          <Button variant="stage" onClick={() => studio.reset()}>
            {m.studio.again}
          </Button>
        </>
      )}
    </OverPicture>
  );
}

function Refused({ code, detail, goLive }: { code: string; detail: string; goLive: () => void }) {
  const texts: Record<string, [string, string]> = {
    channel_busy: [m.studio.busy, m.studio.busyText],
    no_common_codec: [m.studio.refused, m.studio.noCommonCodec],
    full: [m.studio.refused, m.studio.full],
    network: [m.studio.refused, m.studio.refusedText],
  };
  const [title, text] = texts[code] ?? [m.studio.refused, `${detail} ${m.studio.refusedText}`];
  return (
    <OverPicture className="bg-stage/90" title={title} text={text}>
      <Button variant="stage" onClick={goLive}>
        {m.app.tryAgain}
      </Button>
      <Button variant="stage" onClick={() => studio.reset()}>
        {m.app.close}
      </Button>
    </OverPicture>
  );
}

function Problem({ problem }: { problem: SourceProblem }) {
  const texts: Record<SourceProblem, [string, string]> = {
    denied: [m.studio.denied, m.studio.deniedText],
    none: [m.studio.noDevice, m.studio.noDeviceText],
    busy: [m.studio.deviceBusy, m.studio.deviceBusyText],
    insecure: [m.studio.insecure, m.studio.insecureText],
  };
  const [title, text] = texts[problem];
  return (
    <OverPicture className="bg-stage/90" title={title} text={text}>
      {problem !== "insecure" && (
        <>
          <Button variant="stage" onClick={() => void studio.sources.open()}>
            {m.app.tryAgain}
          </Button>
          <Button variant="stage" onClick={() => void studio.sources.shareScreen()}>
            {m.studio.share}
          </Button>
        </>
      )}
    </OverPicture>
  );
}
