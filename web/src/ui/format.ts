// Numbers, sizes and times as people read them. Dates follow the browser's language.
import { m } from "@/messages";

const THIN = "\u2009";

/** 0:31, 12:40, 1:12:40. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1_000));
  const seconds = String(total % 60).padStart(2, "0");
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3_600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** 1 hour 12 minutes, 4 minutes 10 seconds, 42 seconds: for those who hear it. */
export function spoken(ms: number): string {
  const total = Math.max(0, Math.round(ms / 1_000));
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor(total / 60) % 60;
  const parts: (readonly [number, string])[] =
    hours > 0
      ? [
          [hours, "hour"],
          [minutes, "minute"],
        ]
      : [
          [minutes, "minute"],
          [total % 60, "second"],
        ];
  const said = parts.filter(([count], index) => count > 0 || (index === 1 && total < 60));
  return said
    .map(([count, unit]) =>
      new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "long" }).format(count),
    )
    .join(" ");
}

/** The length of a clip: never 0:00 for something that has a picture. */
export function length(ms: number): string {
  return ms > 0 && ms < 1_000 ? "0:01" : clock(Math.round(ms / 1_000) * 1_000);
}

/** Bytes in decimal units, three digits at most. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)}${THIN}${units[unit]}`;
}

/** The name of a picture format as people know it. */
export function codecName(codec: string | null): string {
  return codec === "h264" ? "H.264" : (codec ?? "").toUpperCase();
}

/** 19:42. */
export function timeOfDay(at: number): string {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** Today 21:15, Yesterday 21:15, 12 Nov 21:15. */
export function moment(at: number, now = Date.now()): string {
  const days = Math.round((startOfDay(now) - startOfDay(at)) / 86_400_000);
  if (days <= 1) {
    const word = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(-days, "day");
    return `${word.charAt(0).toLocaleUpperCase()}${word.slice(1)} ${timeOfDay(at)}`;
  }
  return new Intl.DateTimeFormat(undefined, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  }).format(at);
}

/** just now, 4 min. ago, 2 hr. ago, yesterday, 12 Nov. */
export function ago(at: number, now = Date.now()): string {
  const seconds = Math.round((now - at) / 1_000);
  if (seconds < 45) return m.time.justNow;
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  if (seconds < 3_600) return relative.format(-Math.max(1, Math.round(seconds / 60)), "minute");
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3_600), "hour");
  if (seconds < 7 * 86_400) return relative.format(-Math.round(seconds / 86_400), "day");
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }).format(at);
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
