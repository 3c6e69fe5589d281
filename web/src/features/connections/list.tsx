import type { Connection } from "@/api/generated/protocol";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { timeOfDay } from "@/ui/format";
import { StatePill } from "./state-pill";

/** Those whose channel, session, address or role holds the text. */
export function matching(all: readonly Connection[], text: string): Connection[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [...all];
  return all.filter((one) =>
    [one.session, one.channel, one.role, one.state, one.closeReason ?? "", ...one.addresses].some((part) =>
      part.toLowerCase().includes(wanted),
    ),
  );
}

/** One line for each session; the chosen one is marked. */
export function Connections({
  items,
  chosen,
  onChoose,
}: {
  items: readonly Connection[];
  chosen: string | null;
  onChoose: (session: string) => void;
}) {
  return (
    <ul
      aria-label={m.connections.list}
      className="divide-y divide-line rounded-control border border-line bg-raised"
    >
      {items.map((one) => (
        <li key={one.session}>
          <button
            type="button"
            aria-current={one.session === chosen ? "true" : undefined}
            onClick={() => onChoose(one.session)}
            className={cn(
              "flex w-full items-center gap-2.5 px-3 py-2 text-left hover:bg-hover",
              one.session === chosen && "bg-hover shadow-[inset_2px_0_0_var(--water)]",
            )}
          >
            <span className="min-w-0 flex-1">
              <b className="block truncate font-control">{`@${one.channel}`}</b>
              <span className="num block truncate text-caption text-ink-3">
                {m.connections.line(
                  m.connections.role[one.role],
                  one.session,
                  timeOfDay(one.openedAt),
                  one.address,
                )}
              </span>
            </span>
            <StatePill connection={one} />
          </button>
        </li>
      ))}
    </ul>
  );
}
