import { CloudOff } from "lucide-react";
import type { Clip } from "@/api/generated/protocol";
import { isMoving, useReadiness, useServerInfo } from "@/api/queries";
import { m } from "@/messages";
import { timeOfDay } from "@/ui/format";

/** Says which part cannot be reached since when, and that nothing is lost for it. */
export function AwayBanner({ clips }: { clips: readonly Clip[] }) {
  const away = useServerInfo().data?.away ?? [];
  const readiness = useReadiness(away.length > 0);
  if (away.length === 0) return <div role="status" />;
  const since = Math.min(...(readiness.data?.away ?? []).map((part) => part.since));
  const names = {
    storage: m.library.awayStorage,
    database: m.library.awayDatabase,
  } as Record<string, string>;
  const what = away.length > 1 ? m.library.awayBoth : (names[away[0] ?? ""] ?? away[0] ?? "");
  const waiting = clips.filter((clip) => isMoving(clip) || clip.state === "failed").length;
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
            m.library.awayWaiting(waiting),
          )}
        </b>
      </p>
    </div>
  );
}
