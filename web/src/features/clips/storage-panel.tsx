// How full the disk is, when it will be, and exactly what would be deleted.
import { HardDrive } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import type { DiskReport, RetentionReport, StorageReport } from "@/api/generated/protocol";
import { useRetention, useStorage } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Dialog } from "@/ui/dialog";
import { moment, size } from "@/ui/format";

/** For the holder of the key; nothing until the disk was measured. */
export function StoragePanel() {
  const report = useStorage().data;
  const [open, setOpen] = useState(false);
  if (!report || report.disk.totalBytes === 0) return null;
  const { disk } = report;
  return (
    <section
      aria-label={m.storage.label}
      className="mb-3.5 flex flex-wrap items-center gap-x-3.5 gap-y-2 rounded-control border border-line px-3.5 py-2.5 text-dense"
    >
      <HardDrive aria-hidden className="size-[18px] shrink-0 text-ink-3" strokeWidth={1.75} />
      <div className="min-w-[220px] flex-1">
        <p>
          {m.storage.free(size(disk.freeBytes), size(disk.totalBytes))}
          <span className="text-ink-3"> {channels(report)}</span>
        </p>
        <Bar disk={disk} />
        <Forecast disk={disk} />
      </div>
      <Button onClick={() => setOpen(true)}>{m.storage.show}</Button>
      <Dialog
        open={open}
        onClose={() => setOpen(false)}
        title={m.storage.title}
        description={m.storage.never}
      >
        {open && <Doomed />}
      </Dialog>
    </section>
  );
}

function channels(report: StorageReport): string {
  const largest = (report.channels ?? []).toSorted((a, b) => b.bytes - a.bytes).slice(0, 3);
  if (largest.length === 0) return "";
  return m.storage.clips(largest.map((one) => m.storage.ofChannel(one.channel, size(one.bytes))).join(", "));
}

function Bar({ disk }: { disk: DiskReport }) {
  const used = 1 - disk.freeBytes / disk.totalBytes;
  return (
    <div aria-hidden className="my-1.5 h-1.5 overflow-hidden rounded-full bg-line">
      <div
        className={cn("h-full rounded-full", disk.state === "ok" ? "bg-ink-3" : "bg-warn")}
        style={{ width: `${used * 100}%` }}
      />
    </div>
  );
}

function Forecast({ disk }: { disk: DiskReport }) {
  return (
    <p role="status" className={disk.state === "ok" ? "text-ink-2" : "text-warn"}>
      {disk.state === "full" && m.storage.full}
      {disk.state === "low" && `${m.storage.low} `}
      {disk.state !== "full" && disk.fullAt !== null && m.storage.fullAt(when(disk.fullAt))}
    </p>
  );
}

/** Today and tomorrow by the minute; further ahead a forecast is good for the day. */
function when(at: number, now = Date.now()): string {
  if (at - now < 36 * 3_600_000) return moment(at, now).toLocaleLowerCase();
  const year =
    new Date(at).getFullYear() === new Date(now).getFullYear() ? {} : ({ year: "numeric" } as const);
  return m.storage.on(
    new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", ...year }).format(at),
  );
}

function Doomed() {
  const { data, isError } = useRetention();
  if (isError) return <p className="text-dense text-ink-2">{m.storage.failed}</p>;
  if (!data) return <p className="text-dense text-ink-3">{m.storage.reading}</p>;
  if (data.clips === 0) {
    return <p className="text-dense text-ink-2">{keepsAll(data) ? m.storage.keepsAll : m.storage.nothing}</p>;
  }
  const unnamed = data.clips - data.items.length;
  return (
    <>
      <p className="text-dense">{m.storage.sum(data.clips, size(data.bytes))}</p>
      <ul className="mt-2 max-h-[50dvh] overflow-auto text-dense">
        {data.items.map((clip) => (
          <li key={clip.id} className="flex flex-wrap justify-between gap-x-3 border-t border-line py-1.5">
            <Link to={clip.watch} className="min-w-0 truncate">
              {clip.title}
            </Link>
            <span className="text-ink-2">
              {clip.channel}, {moment(clip.startedAt)}, {size(clip.size)}, {m.storage.why[clip.why]}
            </span>
          </li>
        ))}
      </ul>
      {unnamed > 0 && <p className="text-dense text-ink-2">{m.storage.more(unnamed)}</p>}
    </>
  );
}

function keepsAll({ keep, channels: rules }: RetentionReport): boolean {
  return [keep, ...rules.map((rule) => rule.keep)].every((one) => one.days === null && one.bytes === null);
}
