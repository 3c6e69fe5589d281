import { CloudOff } from "lucide-react";
import { isMoving, useClips, useReadiness, useServerInfo } from "@/api/queries";
import { m } from "@/messages";
import { timeOfDay } from "@/ui/format";

/** Says which part cannot be reached since when, and that nothing is lost for it. */
export function AwayBanner() {
  const away = useServerInfo().data?.away ?? [];
  const readiness = useReadiness(away.length > 0);
  // All clips, whatever the page is filtered by. Those that wait are the newest.
  const newest = useClips({}, away.length > 0).data?.pages[0];
  if (away.length === 0) return <div role="status" />;
  const since = Math.min(...(readiness.data?.away ?? []).map((part) => part.since));
  const names = {
    storage: m.library.awayStorage,
    database: m.library.awayDatabase,
  } as Record<string, string>;
  const what = away.length > 1 ? m.library.awayBoth : (names[away[0] ?? ""] ?? away[0] ?? "");
  const waiting = newest?.items.filter((clip) => isMoving(clip) || clip.state === "failed").length ?? 0;
  const more = newest !== undefined && waiting === newest.items.length && newest.next !== null;
  return (
    <div
      role="status"
      className="mb-3.5 flex items-start gap-2.5 rounded-control bg-warn-soft px-3.5 py-2.5 text-dense text-warn"
    >
      <CloudOff aria-hidden className="mt-px size-[18px] shrink-0" strokeWidth={1.75} />
      <p>
        <b>
          {m.library.awayBanner(
            what,
            Number.isFinite(since) ? m.library.awaySince(timeOfDay(since)) : "",
            m.library.awayWaiting(waiting, more),
          )}
        </b>
      </p>
    </div>
  );
}
