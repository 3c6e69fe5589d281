import { Download } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import type { Connection, ConnectionReport, ConnectionSource } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { moment } from "@/ui/format";
import { StatePill } from "./state-pill";

/** Notes of the flight record that are shown; the file has all of them. */
const NOTES = 12;

/** All that is known of one session. */
export function Report({ report }: { report: ConnectionReport }) {
  const rate = usePerSecond(report);
  const words = m.connections;
  const drops = Object.entries(report.drops).sort(([, a], [, b]) => b - a);
  const notes = report.flight.filter((note) => note.what !== "packet" && note.what !== "feedback");
  const packets = report.flight.filter((note) => note.what === "packet").length;
  return (
    <article aria-label={words.report(report.session)} className="min-w-0">
      <div className="flex flex-wrap items-center gap-2.5">
        <h2 className="text-[18px] leading-6">{`${words.role[report.role]}, @${report.channel}`}</h2>
        <StatePill connection={report} />
        <span className="num text-caption text-ink-3">{report.session}</span>
        <Button size="dense" asChild className="ml-auto">
          <a href={`/api/connections/${report.session}?download=1`} download>
            <Download aria-hidden className="size-[15px]" strokeWidth={1.75} />
            {words.download}
          </a>
        </Button>
      </div>
      <div className="mt-3 grid gap-3 laptop:grid-cols-2">
        <Section title={words.way}>
          <Facts
            facts={[
              [words.opened, moment(report.openedAt)],
              [words.path, after(report.pathMs)],
              [words.dtls, after(report.connectedMs)],
              [words.firstPacket, after(report.firstPacketMs)],
              [words.firstKeyframe, after(report.firstKeyframeMs)],
              ...(report.closedMs === null
                ? []
                : [[words.closed, `${after(report.closedMs)}, ${report.closeReason ?? ""}`] as const]),
            ]}
          />
        </Section>
        <Section title={words.network}>
          <Facts
            facts={[
              ...report.addresses.map(
                (address) => [address === report.address ? words.inUse : words.checked, address] as const,
              ),
              [words.cipher, report.srtpProfile ?? words.notYet],
              [words.estimate, report.estimate === null ? words.noLimit : bits(report.estimate)],
              [words.packetsIn, counted(report.packetsIn, rate.in)],
              [words.packetsOut, counted(report.packetsOut, rate.out)],
            ]}
          />
        </Section>
        {report.sources.length > 0 && (
          <Section title={words.sources}>
            <Facts
              facts={report.sources.map((source) => [sourceName(source), sourceFigures(source)] as const)}
            />
          </Section>
        )}
        <Section title={words.drops}>
          {drops.length === 0 ? (
            <p className="text-dense text-ink-3">{words.noDrops}</p>
          ) : (
            <Facts facts={drops.map(([reason, count]) => [reason, count.toLocaleString("en")] as const)} />
          )}
        </Section>
        <Section title={words.flight}>
          {notes.length === 0 ? (
            <p className="text-dense text-ink-3">{words.noNotes}</p>
          ) : (
            <Facts
              facts={notes
                .slice(-NOTES)
                .reverse()
                .map((note) => [after(note.atMs), said(note)] as const)}
            />
          )}
          <p className="num mt-2 text-caption text-ink-3">{words.inFile(packets, report.notesLost)}</p>
        </Section>
      </div>
      <Sdp title={words.offer} text={report.offer} />
      <Sdp title={words.answer} text={report.answer} />
    </article>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="min-w-0 rounded-control border border-line bg-raised px-3.5 py-3">
      <h3 className="mb-2 text-base">{title}</h3>
      {children}
    </section>
  );
}

function Facts({ facts }: { facts: readonly (readonly [name: string, value: string])[] }) {
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-5 gap-y-1 text-dense">
      {facts.map(([name, value], index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two facts may have the same name
        <div key={`${index} ${name}`} className="contents">
          <dt className="num text-ink-3">{name}</dt>
          <dd className="num text-right [overflow-wrap:anywhere]">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Sdp({ title, text }: { title: string; text: string | null }) {
  return (
    <details className="mt-3 rounded-control border border-line bg-raised px-3.5 py-2.5">
      <summary className="cursor-pointer font-control">{title}</summary>
      {text === null ? (
        <p className="mt-2 text-dense text-ink-3">{m.connections.sdpGone}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
        <pre tabIndex={0} className="mt-2 max-h-[420px] overflow-auto font-mono text-caption">
          {text}
        </pre>
      )}
    </details>
  );
}

/** Packets a second between the two newest reports; null before there are two. */
function usePerSecond(report: Connection): { in: number | null; out: number | null } {
  const [seen, setSeen] = useState({ report, at: performance.now(), in: NaN, out: NaN });
  useEffect(() => {
    setSeen((before) => {
      if (before.report === report) return before;
      const at = performance.now();
      const seconds = (at - before.at) / 1_000;
      const same = before.report.session === report.session && seconds > 0;
      const rate = (now: number, then: number) => (same ? (now - then) / seconds : NaN);
      return {
        report,
        at,
        in: rate(report.packetsIn, before.report.packetsIn),
        out: rate(report.packetsOut, before.report.packetsOut),
      };
    });
  }, [report]);
  const known = (value: number) => (Number.isNaN(value) ? null : Math.round(value));
  return { in: known(seen.in), out: known(seen.out) };
}

function after(ms: number | null): string {
  if (ms === null) return m.connections.notYet;
  return ms < 10_000 ? m.connections.afterMs(ms.toFixed(1)) : m.connections.afterS((ms / 1_000).toFixed(1));
}

function bits(perSecond: number): string {
  return m.connections.mbit((perSecond / 1_000_000).toFixed(2));
}

/** A source is named by its layer where it has one, and by its picture's height once that is known. */
function sourceName({ mid, rid, height }: ConnectionSource): string {
  return m.connections.source(mid, rid, height > 0 ? height : null);
}

function sourceFigures({ bitrate, lost, recovered }: ConnectionSource): string {
  return m.connections.sourceFigures(bits(bitrate), lost, recovered);
}

function counted(total: number, rate: number | null): string {
  const all = total.toLocaleString("en");
  return rate === null || rate < 0 ? all : m.connections.withRate(all, rate.toLocaleString("en"));
}

function said({ what, count, reason }: ConnectionReport["flight"][number]): string {
  return [what, count?.toLocaleString("en"), reason].filter((part) => part !== undefined).join(" ");
}
