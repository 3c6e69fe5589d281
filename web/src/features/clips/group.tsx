import { Link } from "react-router";
import type { Clip } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { clock, moment } from "@/ui/format";
import { River } from "@/ui/river";
import { ClipActions } from "./clip-actions";
import { ClipCard, ClipGrid } from "./clip-card";
import { type Group, onRiver, rollovers } from "./list";

/** One broadcast: its river with the clips on it, then their cards. */
export function BroadcastGroup({
  group,
  now,
  fresh,
  mayWrite,
  linkTo,
  onOpen,
  choice,
}: {
  group: Group;
  now: number;
  fresh: ReadonlySet<string>;
  mayWrite: boolean;
  linkTo: (clip: Clip) => { to: string; state?: unknown };
  onOpen: (id: string) => void;
  /** Where clips can be chosen. */
  choice: ((clip: Clip) => { on: boolean; onToggle: (range: boolean) => void }) | undefined;
}) {
  return (
    <section className="border-t border-line pt-3 pb-5" data-broadcast={group.id}>
      <header className="mb-3 grid grid-cols-1 items-center gap-x-5 gap-y-1.5 tablet:grid-cols-[minmax(0,auto)_minmax(120px,1fr)_auto]">
        <div className="min-w-0">
          <h2 className="truncate text-reading leading-5">
            <Link to={`/b/${group.id}`} className="hover:underline">
              {group.title}
            </Link>
          </h2>
          <p className="num truncate text-caption text-ink-3">
            {group.live ? (
              <span className="font-control text-live">{m.library.onAir}</span>
            ) : (
              moment(group.startedAt, now)
            )}
            {` · ${clock(group.durationMs)} · ${m.count.clips(group.clips.length)}`}
          </p>
        </div>
        <River
          height={26}
          className="max-tablet:mx-1"
          durationMs={Math.max(1, group.durationMs)}
          clips={onRiver(group.clips, group.startedAt, group.durationMs)}
          ticks={rollovers(group.clips, group.startedAt)}
          fresh={fresh}
          {...(group.live ? { edge: "live" as const } : {})}
          label={m.river.whole(clock(group.durationMs), group.clips.length)}
          onOpen={onOpen}
        />
        {group.live ? (
          <Button size="dense" asChild className="max-tablet:hidden">
            <Link to={`/@${group.channel}`}>{m.library.watchLive}</Link>
          </Button>
        ) : (
          <Button size="dense" asChild className="max-tablet:hidden">
            <Link to={`/b/${group.id}`}>{m.library.open}</Link>
          </Button>
        )}
      </header>
      <ClipGrid>
        {group.clips.map((clip) => (
          <ClipCard
            key={clip.id}
            clip={clip}
            span={group}
            now={now}
            fresh={fresh.has(clip.id)}
            link={linkTo(clip)}
            choice={choice?.(clip)}
            actions={<ClipActions clip={clip} mayWrite={mayWrite} />}
          />
        ))}
      </ClipGrid>
    </section>
  );
}
