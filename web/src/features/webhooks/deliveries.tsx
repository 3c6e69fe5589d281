import { RotateCw } from "lucide-react";
import type { Delivery } from "@/api/generated/protocol";
import { m } from "@/messages";
import { IconButton } from "@/ui/button";
import { moment, timeOfDay } from "@/ui/format";
import { Pill } from "@/ui/pill";

const RESULTS = {
  delivered: { tone: "ok", word: m.webhooks.delivered },
  waiting: { tone: "warn", word: m.webhooks.failing },
  failed: { tone: "bad", word: m.webhooks.givenUp },
} as const;

/** What was tried, the newest first. */
export function Deliveries({
  items,
  mayRepeat,
  onAgain,
}: {
  items: readonly Delivery[];
  mayRepeat: boolean;
  onAgain: (event: string) => void;
}) {
  if (items.length === 0) return <p className="mt-2 text-reading text-ink-3">{m.webhooks.noDeliveries}</p>;
  return (
    <ul aria-label={m.webhooks.deliveries} className="mt-2 divide-y divide-line border-y border-line">
      {items.map((one) => (
        <li key={one.event} className="flex items-start gap-2.5 py-2">
          <div className="min-w-0 flex-1">
            <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
              <span className="font-mono text-dense">{one.type}</span>
              {one.channel && <span className="text-caption text-ink-3">{`@${one.channel}`}</span>}
            </p>
            <p className="num mt-0.5 text-caption text-ink-3 [overflow-wrap:anywhere]">{details(one)}</p>
          </div>
          <Pill tone={RESULTS[one.state].tone} data-delivery={one.state}>
            {RESULTS[one.state].word}
          </Pill>
          <IconButton
            small
            disabled={!mayRepeat || one.state === "waiting"}
            label={m.webhooks.againOf(one.type, moment(one.triedAt ?? 0))}
            onClick={() => onAgain(one.event)}
          >
            <RotateCw aria-hidden className="size-[15px]" strokeWidth={1.75} />
          </IconButton>
        </li>
      ))}
    </ul>
  );
}

function details(one: Delivery): string {
  const parts = [moment(one.triedAt ?? 0)];
  if (one.attempts !== 1) parts.push(m.webhooks.attempts(one.attempts));
  if (one.reason) parts.push(one.reason);
  else if (one.status !== null) parts.push(m.webhooks.answer(one.status));
  if (one.attempts > 0) parts.push(m.webhooks.ms(one.tookMs));
  if (one.nextTryAt) parts.push(m.webhooks.next(timeOfDay(one.nextTryAt)));
  return parts.join(m.app.and);
}
