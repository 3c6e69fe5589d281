import type { Webhook } from "@/api/generated/protocol";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { Pill } from "@/ui/pill";
import { host, scope } from "./words";

const TONES = { active: "ok", paused: "plain", disabled: "bad" } as const;

export function StatePill({ webhook }: { webhook: Webhook }) {
  const failing = webhook.state === "active" && webhook.last?.state === "waiting";
  return (
    <Pill tone={failing ? "warn" : TONES[webhook.state]} data-webhook={webhook.state}>
      {failing ? m.webhooks.failing : m.webhooks.state[webhook.state]}
    </Pill>
  );
}

/** One line for each; the chosen one is marked. */
export function Webhooks({
  items,
  chosen,
  onChoose,
}: {
  items: readonly Webhook[];
  chosen: string | null;
  onChoose: (id: string) => void;
}) {
  return (
    <ul
      aria-label={m.webhooks.list}
      className="self-start divide-y divide-line rounded-control border border-line bg-raised"
    >
      {items.map((one) => (
        <li key={one.id}>
          <button
            type="button"
            aria-current={one.id === chosen ? "true" : undefined}
            onClick={() => onChoose(one.id)}
            className={cn(
              "flex w-full items-center gap-2.5 px-3 py-2 text-left hover:bg-hover",
              one.id === chosen && "bg-hover shadow-[inset_2px_0_0_var(--water)]",
            )}
          >
            <span className="min-w-0 flex-1">
              <b className="block truncate font-control">{one.description || host(one.url)}</b>
              <span className="num block truncate text-caption text-ink-3">
                {[
                  ...(one.description ? [host(one.url)] : []),
                  scope(one),
                  ...(one.waiting > 0 ? [m.webhooks.waiting(one.waiting)] : []),
                ].join(m.app.and)}
              </span>
            </span>
            <StatePill webhook={one} />
          </button>
        </li>
      ))}
    </ul>
  );
}
