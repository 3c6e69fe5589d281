import { AlertTriangle, Check, CircleSlash, Minus } from "lucide-react";
import type { ReactNode } from "react";
import type { ChannelStats } from "@/api/generated/protocol";
import { m } from "@/messages";
import { advise, gradesOf, HISTORY, type Sample, verdict } from "@/rtc/health";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Spark } from "@/ui/spark";
import { toast } from "@/ui/toast";
import { studio, VIDEO_BITRATE } from "./session";

type Props = { samples: readonly Sample[]; stats: ChannelStats | undefined; live: boolean };

/** The verdict in words first, then the figures, then the graphs. */
export function Health({ samples, stats, live }: Props) {
  return (
    <section aria-label={m.health.title} className="flex flex-col gap-0.5">
      <Sentence samples={samples} stats={stats} live={live} />
      {live && samples.length > 0 && <Gauges samples={samples} stats={stats} />}
      {live && <Advices samples={samples} />}
    </section>
  );
}

function Sentence({ samples, stats, live }: Props) {
  const last = samples[samples.length - 1];
  const said = live && samples.length > 0 ? verdict(samples) : null;
  const size = last && last.height > 0 ? `${last.height}p` : null;
  const words: Record<string, [string, string]> = {
    good: [m.health.good, size ? m.health.goodText(size) : m.health.goodSound],
    watch: [m.health.watch, m.health.watchText],
    noticed: [m.health.noticed, m.health.noticedText],
    none: [m.health.none, m.health.noneText],
  };
  const [title, text] = said
    ? (words[said] ?? ["", ""])
    : live
      ? [m.health.starting, m.health.startingText]
      : [m.health.off, m.health.offText];
  const mark = {
    good: <Check aria-hidden className="size-[22px]" strokeWidth={2} />,
    watch: <AlertTriangle aria-hidden className="size-[18px]" strokeWidth={1.75} />,
    noticed: <AlertTriangle aria-hidden className="size-[18px]" strokeWidth={1.75} />,
    none: <CircleSlash aria-hidden className="size-[18px]" strokeWidth={1.75} />,
  };
  return (
    <div
      className="flex items-start gap-[11px] pb-2.5"
      data-verdict={said ?? "off"}
      data-server={stats ? "yes" : "no"}
    >
      <span
        className={cn(
          "grid size-[34px] shrink-0 place-items-center rounded-full",
          said === "good" && "bg-ok-soft text-ok",
          said === "watch" && "bg-warn-soft text-warn",
          (said === "noticed" || said === "none") && "bg-danger-soft text-danger",
          said === null && "bg-hover text-ink-3",
        )}
      >
        {said ? mark[said] : <Minus aria-hidden className="size-[18px]" strokeWidth={1.75} />}
      </span>
      <div aria-live="polite">
        <h2 className="text-[17px] leading-[22px]">{title}</h2>
        <p className="text-dense text-ink-2">{text}</p>
      </div>
    </div>
  );
}

function Gauges({ samples, stats }: { samples: readonly Sample[]; stats: ChannelStats | undefined }) {
  const last = samples[samples.length - 1];
  if (!last) return null;
  const grades = gradesOf(last);
  const mbit = (value: number | null) => (value === null ? null : value / 1_000_000);
  const serverLost = stats?.tracks.reduce((sum, track) => sum + track.lost, 0);
  return (
    <div className="max-tablet:grid max-tablet:grid-cols-2 max-tablet:gap-3 max-tablet:border-t max-tablet:border-line max-tablet:pt-2.5">
      {last.bitrate !== null && (
        <Gauge
          label={m.health.pictureRate}
          tip={m.health.pictureRateTip}
          unit={m.health.mbit}
          values={samples.map((s) => mbit(s.bitrate))}
          digits={1}
          note={m.health.target((VIDEO_BITRATE / 1_000_000).toFixed(1))}
          target={VIDEO_BITRATE / 1_000_000}
          ceiling={(VIDEO_BITRATE / 1_000_000) * 1.2}
        />
      )}
      {last.frames !== null && (
        <Gauge
          label={m.health.frames}
          unit={m.health.perSecond}
          values={samples.map((s) => s.frames)}
          digits={1}
          note={
            last.sourceFrames === null
              ? ""
              : grades.frames === "good"
                ? m.health.framesDropped
                : m.health.framesOf(last.sourceFrames.toFixed(0))
          }
          ceiling={32}
          warn={grades.frames !== "good"}
        />
      )}
      <Gauge
        label={m.health.roundTrip}
        unit={m.health.ms}
        values={samples.map((s) => s.roundTripMs)}
        digits={0}
        note={m.health.toServer}
        ceiling={60}
        warn={grades.roundTrip !== "good"}
      />
      <Gauge
        label={m.health.lost}
        unit={m.health.percent}
        values={samples.map((s) => (s.loss === null ? null : s.loss * 100))}
        digits={1}
        note={serverLost === undefined ? m.health.lostNone : m.health.lostServer(serverLost)}
        ceiling={2}
        warn={grades.loss !== "good"}
      />
    </div>
  );
}

function Gauge({
  label,
  tip,
  unit,
  values,
  digits,
  note,
  target,
  ceiling,
  warn = false,
}: {
  label: string;
  tip?: string;
  unit: string;
  values: readonly (number | null)[];
  digits: number;
  note: string;
  target?: number;
  ceiling: number;
  warn?: boolean;
}) {
  const last = values[values.length - 1] ?? null;
  const known = values.filter((value): value is number => value !== null);
  const shown = (value: number) => value.toFixed(digits);
  const spoken =
    last === null
      ? ""
      : m.health.trend(label, `${shown(last)} ${unit}`, shown(Math.min(...known)), shown(Math.max(...known)));
  return (
    <div className="grid grid-cols-[104px_minmax(0,1fr)] items-center gap-3 border-t border-line py-[11px] max-tablet:grid-cols-1 max-tablet:gap-0.5 max-tablet:border-t-0 max-tablet:py-0">
      <div>
        <p className="text-caption text-ink-3" title={tip}>
          {label}
        </p>
        <p
          className={cn(
            "num text-[18px] leading-[22px] font-heading tracking-[-0.01em]",
            warn && "text-warn",
          )}
        >
          {last === null ? m.health.none_ : shown(last)}{" "}
          <span className="text-caption font-text tracking-normal text-ink-3">{unit}</span>
        </p>
        <p className="num text-caption text-ink-3 max-tablet:hidden">{note}</p>
        <span className="sr-only">{spoken}</span>
      </div>
      <Spark
        values={values}
        target={target}
        ceiling={ceiling}
        history={HISTORY}
        warn={warn}
        className="max-tablet:h-6"
      />
    </div>
  );
}

function Advices({ samples }: { samples: readonly Sample[] }) {
  const last = samples[samples.length - 1];
  if (!last) return null;
  const evidence = {
    loss: ((last.loss ?? 0) * 100).toFixed(1),
    cpu: (last.frames ?? 0).toFixed(0),
    bandwidth: ((last.bitrate ?? 0) / 1_000_000).toFixed(1),
    frames: (last.frames ?? 0).toFixed(0),
    "round-trip": (last.roundTripMs ?? 0).toFixed(0),
  };
  return (
    <>
      {advise(samples).map((kind) => {
        const words = m.health.advice[kind];
        const now = kind === "loss" ? `${evidence.loss}\u2009%` : evidence[kind];
        return (
          <Advice
            key={kind}
            cause={words.cause}
            text={words.text(words.evidence(now))}
            action={
              words.action && (
                <Button
                  size="dense"
                  className="mt-[9px]"
                  onClick={() => {
                    void studio.sendLess(kind === "cpu" || kind === "frames" ? "size" : "rate");
                    toast({ text: m.health.done });
                  }}
                >
                  {words.action}
                </Button>
              )
            }
          />
        );
      })}
    </>
  );
}

export function Advice({ cause, text, action }: { cause: string; text: string; action?: ReactNode }) {
  return (
    <div className="mt-2.5 rounded-control border border-warn/35 bg-warn-soft px-3 py-[11px] text-dense">
      <p className="mb-0.5 flex items-center gap-[7px] font-heading text-warn">
        <AlertTriangle aria-hidden className="size-[15px] shrink-0" strokeWidth={1.75} />
        {cause}
      </p>
      <p>{text}</p>
      {action}
    </div>
  );
}
