import { Radio, Scissors } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { ChannelStats } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { clock } from "@/ui/format";
import { useNow } from "@/ui/hooks";
import { Pill } from "@/ui/pill";
import { toast } from "@/ui/toast";
import { type SessionView, studio } from "./session";

/** Off air: ready or what is missing, and the one red button. On air: clock, audience, clip, end. */
export function Bar({
  view,
  stats,
  clipCount,
  recording,
  missing,
  onGoLive,
}: {
  view: SessionView;
  stats: ChannelStats | undefined;
  clipCount: number;
  recording: boolean;
  /** What stands in the way of going live. */
  missing: string | null;
  onGoLive: () => void;
}) {
  const { publisher } = view;
  const sending = publisher.kind === "on-air" || publisher.kind === "reconnecting";
  return (
    <div className="flex min-h-[58px] flex-wrap items-center gap-x-3.5 gap-y-2 border-b border-line bg-surface py-2 pr-4 pl-[18px] max-tablet:gap-x-2.5 max-tablet:px-3.5">
      {sending ? (
        <>
          <OnAir view={view} />
          <Facts view={view} stats={stats} clipCount={clipCount} recording={recording} />
          <span className="flex-1" />
          {recording && <ClipButton className="max-tablet:hidden" />}
          <EndButton clipCount={clipCount} recording={recording} />
        </>
      ) : (
        <>
          <Pill tone={missing ? "plain" : "ok"} large>
            {missing ? m.studio.notReady : m.studio.ready}
          </Pill>
          <p className="min-w-0 flex-1 text-dense text-ink-2 max-tablet:line-clamp-2 max-tablet:text-caption">
            {missing ?? m.studio.viewersSee}
          </p>
          {publisher.kind === "connecting" ? (
            <>
              <Button variant="quiet" onClick={() => studio.reset()}>
                {m.studio.cancel}
              </Button>
              <Button variant="live" disabled>
                <Radio aria-hidden className="size-[15px]" strokeWidth={1.75} />
                {m.studio.connecting}
              </Button>
            </>
          ) : (
            <Button variant="live" disabled={missing !== null} onClick={onGoLive}>
              <Radio aria-hidden className="size-[15px]" strokeWidth={1.75} />
              {m.studio.goLive}
            </Button>
          )}
        </>
      )}
    </div>
  );
}

function OnAir({ view }: { view: SessionView }) {
  const now = useNow();
  return (
    <>
      {view.publisher.kind === "on-air" ? (
        <Pill tone="live" large>
          {m.pill.onAir}
        </Pill>
      ) : (
        <Pill tone="warn" large>
          {m.studio.reconnecting}
        </Pill>
      )}
      <span className="num text-title font-heading tracking-[-0.01em]">
        {clock(view.startedAt === null ? 0 : now - view.startedAt)}
      </span>
    </>
  );
}

function Facts({
  view,
  stats,
  clipCount,
  recording,
}: {
  view: SessionView;
  stats: ChannelStats | undefined;
  clipCount: number;
  recording: boolean;
}) {
  return (
    <>
      <span aria-hidden className="mx-0.5 h-[34px] w-px bg-line max-tablet:hidden" />
      <Fact value={(view.viewers ?? 0).toLocaleString("en")}>{m.studio.watching}</Fact>
      {recording && stats?.currentClipMs != null && (
        <Fact value={m.studio.nextClip(clipCount + 1)} className="max-tablet:hidden">
          {m.studio.nextFile(clock(stats.currentClipMs))}
        </Fact>
      )}
      {!recording && (
        <Fact value={m.studio.notRecorded} className="max-tablet:hidden">
          {m.studio.recordingOff}
        </Fact>
      )}
    </>
  );
}

function Fact({ value, className, children }: { value: string; className?: string; children: ReactNode }) {
  return (
    <span className={`num text-caption text-ink-3 ${className ?? ""}`}>
      <b className="block text-base leading-[19px] font-control text-ink">{value}</b>
      {children}
    </span>
  );
}

export function ClipButton({ large = false, className }: { large?: boolean; className?: string }) {
  return (
    <Button
      variant="kept"
      size={large ? "large" : "normal"}
      className={className}
      title={`${m.watch.clipTip} (C)`}
      onClick={() => void clipNow()}
    >
      <Scissors aria-hidden className="size-[15px]" strokeWidth={1.75} />
      {large ? m.studio.clipLong : m.studio.clip}
      {!large && (
        <kbd className="rounded-picture border border-current px-[5px] text-caption leading-[15px] font-control">
          C
        </kbd>
      )}
    </Button>
  );
}

export async function clipNow(): Promise<void> {
  const reply = await studio.clip();
  if (reply.ok) toast({ text: m.watch.clipAsked, tone: "kept" });
  else if (reply.code === "rate_limited") toast({ text: m.watch.clipTooOften });
  else toast({ text: m.watch.clipFailed, tone: "error" });
}

function EndButton({ clipCount, recording }: { clipCount: number; recording: boolean }) {
  const [asking, setAsking] = useState(false);
  const [ending, setEnding] = useState(false);
  const end = async () => {
    setEnding(true);
    const result = await studio.endBroadcast();
    setEnding(false);
    setAsking(false);
    if (!result.ok) toast({ text: m.studio.endFailed, tone: "error" });
  };
  return (
    <>
      <Button variant="danger" onClick={() => setAsking(true)}>
        <span className="max-tablet:hidden">{m.studio.end}</span>
        <span className="tablet:hidden">{m.studio.endShort}</span>
      </Button>
      <Dialog
        open={asking}
        onClose={() => setAsking(false)}
        title={m.studio.endTitle}
        description={recording ? m.studio.endText(clipCount) : m.studio.endTextOff}
      >
        <div className="mt-3 flex flex-wrap justify-end gap-2">
          <Button variant="quiet" onClick={() => setAsking(false)}>
            {m.studio.keepGoing}
          </Button>
          <Button variant="danger" disabled={ending} onClick={() => void end()}>
            {m.studio.end}
          </Button>
        </div>
      </Dialog>
    </>
  );
}
