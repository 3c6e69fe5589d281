import { Play } from "lucide-react";
import { Link } from "react-router";
import type { Clip, Live } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Avatar } from "@/ui/avatar";
import { Button } from "@/ui/button";
import { clock, timeOfDay } from "@/ui/format";
import { Pill } from "@/ui/pill";
import { River } from "@/ui/river";
import { Corner, Still } from "@/ui/still";
import { audience, newestPoster } from "./words";

/** The most watched broadcast, as large as the page allows. */
export function Lead({ live, clips, now }: { live: Live; clips: readonly Clip[]; now: number }) {
  const to = `/@${live.channel}`;
  const elapsed = Math.max(1_000, now - live.startedAt);
  const away = live.state === "reconnecting";
  return (
    <section aria-label={m.home.lead} className="min-w-0">
      <Link to={to} className="-mx-3.5 block tablet:mx-0" aria-label={m.home.watchChannel(live.channel)}>
        <Still
          kind="broadcast"
          src={newestPoster(clips)}
          sound={live.video === null && live.audio !== null}
          eager
          className="max-tablet:rounded-none"
        >
          <Corner at="tl">
            {away ? <Pill tone="off">{m.pill.reconnecting}</Pill> : <Pill tone="live">{m.pill.live}</Pill>}
            <Pill tone="off">{audience(live)}</Pill>
          </Corner>
          <Corner at="br">
            <Pill tone="off">{clock(elapsed)}</Pill>
          </Corner>
        </Still>
      </Link>
      <River
        height={26}
        durationMs={elapsed}
        clips={clips.map((clip) => ({
          id: clip.id,
          title: clip.title,
          startMs: clip.startedAt - live.startedAt,
          endMs: clip.startedAt - live.startedAt + clip.durationMs,
        }))}
        edge={away ? "gone" : "live"}
        label={m.river.label(clock(elapsed), clips.length)}
      />
      <div className="flex items-center gap-3 pt-1.5">
        <Avatar name={live.channel} />
        <div className="min-w-0 flex-1">
          <h2 className="truncate text-[20px] leading-[26px] max-tablet:text-[17px] max-tablet:leading-[22px]">
            @{live.channel}
          </h2>
          <p className="num truncate text-dense text-ink-2 max-tablet:whitespace-normal">
            {m.home.since(timeOfDay(live.startedAt))}
            {live.video === null && live.audio !== null && ` · ${m.home.soundOnly}`}
            {live.recording && ` · ${m.count.clipsSoFar(clips.length)}`}
          </p>
        </div>
        <Button asChild variant="water">
          <Link to={to}>
            <Play aria-hidden className="size-[15px] fill-current" strokeWidth={1.75} />
            {m.home.watch}
          </Link>
        </Button>
      </div>
    </section>
  );
}
