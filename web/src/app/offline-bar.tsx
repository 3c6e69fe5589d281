import { WifiOff } from "lucide-react";
import { connection } from "@/api/connection";
import { useConnection } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { timeOfDay } from "@/ui/format";
import { useNow } from "@/ui/hooks";

/** Says since when there is no connection and when it is tried again. What is loaded stays readable below it. */
export function OfflineBar() {
  const now = useConnection();
  return (
    <div role="status">
      {!now.online && (
        <div className="flex flex-wrap items-center gap-x-2.5 gap-y-1 border-b border-line bg-warn-soft px-[18px] py-1.5 text-dense text-warn max-tablet:px-3.5">
          <WifiOff aria-hidden className="size-[15px]" strokeWidth={1.75} />
          <b>{m.offline.bar(timeOfDay(now.since))}</b>
          <Countdown to={now.retryAt} />
          <Button
            size="dense"
            variant="quiet"
            className="ml-auto h-7 underline"
            onClick={() => connection.retry()}
          >
            {m.offline.now}
          </Button>
        </div>
      )}
    </div>
  );
}

function Countdown({ to }: { to: number }) {
  const seconds = Math.ceil((to - useNow(500)) / 1_000);
  return (
    <span aria-hidden className="num">
      {seconds > 0 ? m.offline.again(seconds) : m.offline.trying}
    </span>
  );
}
