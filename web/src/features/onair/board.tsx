import { Link } from "react-router";
import type { Clip, Live } from "@/api/generated/protocol";
import { m } from "@/messages";
import { clock, timeOfDay } from "@/ui/format";
import { Still } from "@/ui/still";
import { audience, newestPoster } from "./words";

/** Everything else that is on air, most watched first. */
export function Board({
  lives,
  total,
  clips,
  now,
}: {
  lives: readonly Live[];
  total: number;
  clips: readonly Clip[];
  now: number;
}) {
  return (
    <section className="min-w-0">
      <div className="mb-3 flex items-baseline gap-2.5">
        <h2 className="text-[18px] leading-6">{m.home.onAir}</h2>
        <span className="num text-dense text-ink-3">{m.count.broadcasts(total)}</span>
      </div>
      <ul className="border-t border-line">
        {lives.map((live) => (
          <Row
            key={live.broadcast}
            live={live}
            poster={newestPoster(clips.filter((c) => c.broadcast === live.broadcast))}
            now={now}
          />
        ))}
      </ul>
    </section>
  );
}

function Row({ live, poster, now }: { live: Live; poster: string | null; now: number }) {
  const sound = live.video === null && live.audio !== null;
  return (
    <li className="border-b border-line">
      <Link
        to={`/@${live.channel}`}
        className="group grid grid-cols-[104px_minmax(0,1fr)] items-center gap-3 py-2 tablet:grid-cols-[120px_minmax(0,1fr)_auto] tablet:gap-3.5"
      >
        <Still kind="broadcast" src={poster} sound={sound} live={live.state === "live"} />
        <div className="min-w-0">
          <h3 className="truncate text-reading leading-5 group-hover:underline">@{live.channel}</h3>
          <p className="truncate text-dense text-ink-2">
            {live.state === "reconnecting"
              ? m.home.away
              : sound
                ? m.home.soundOnly
                : m.home.since(timeOfDay(live.startedAt))}
          </p>
          <p className="num text-caption text-ink-3 tablet:hidden">{audience(live)}</p>
        </div>
        <div className="num hidden text-right text-caption text-ink-3 tablet:block">
          <b className="block text-dense font-control text-ink">{audience(live)}</b>
          {clock(now - live.startedAt)}
        </div>
      </Link>
    </li>
  );
}
