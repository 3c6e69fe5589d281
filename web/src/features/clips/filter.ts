// What the library is filtered by: as the address carries it, as the server is asked, as chips say it.
import type { ClipFilter } from "@/api/client";
import { m } from "@/messages";

export const VISIBILITIES = ["hidden", "link", "published"] as const;
export const TROUBLES = ["silent", "black", "frozen", "gaps", "recovered"] as const;
export const KINDS = ["part", "made"] as const;
export const PROGRESS = ["waiting", "failed"] as const;

export type Filter = {
  q?: string;
  channel?: string;
  broadcast?: string;
  /** Days as the browser's calendar has them, 2026-11-20; both are part of the span. */
  from?: string;
  to?: string;
  tag?: string;
  visibility?: (typeof VISIBILITIES)[number];
  trouble?: (typeof TROUBLES)[number];
  kind?: (typeof KINDS)[number];
  /** Not stored yet, or could not be made. */
  state?: (typeof PROGRESS)[number];
  pinned?: "yes";
};
export type Name = keyof Filter;

export const NAMES: readonly Name[] = [
  "q",
  "channel",
  "broadcast",
  "from",
  "to",
  "tag",
  "visibility",
  "trouble",
  "kind",
  "state",
  "pinned",
];

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const oneOf =
  (values: readonly string[]) =>
  (text: string): boolean =>
    values.includes(text);
const RULES: Record<Name, (text: string) => boolean> = {
  q: () => true,
  channel: () => true,
  broadcast: () => true,
  from: (text) => DAY.test(text) && dayStart(text) !== null,
  to: (text) => DAY.test(text) && dayStart(text) !== null,
  tag: () => true,
  visibility: oneOf(VISIBILITIES),
  trouble: oneOf(TROUBLES),
  kind: oneOf(KINDS),
  state: oneOf(PROGRESS),
  pinned: oneOf(["yes"]),
};

/** What an address says; values that nobody could have chosen are passed over. */
export function readFilter(search: URLSearchParams): Filter {
  const found = NAMES.flatMap((name) => {
    const value = search.get(name)?.trim();
    return value && RULES[name](value) ? [[name, value]] : [];
  });
  return Object.fromEntries(found) as Filter;
}

/** The address with one value changed, or taken away when it is empty. What is not a filter stays. */
export function withFilter(search: URLSearchParams, name: Name, value: string): URLSearchParams {
  const next = new URLSearchParams(search);
  if (value === "") next.delete(name);
  else next.set(name, value);
  return next;
}

/** As the server is asked. */
export function queryOf(filter: Filter): Omit<ClipFilter, "cursor" | "limit"> {
  const { q, from, to, pinned, ...same } = filter;
  const begin = from === undefined ? null : dayStart(from);
  const end = to === undefined ? null : dayStart(to, 1);
  return {
    ...same,
    ...(q === undefined ? {} : { text: q }),
    ...(begin === null ? {} : { from: begin }),
    ...(end === null ? {} : { to: end }),
    ...(pinned === undefined ? {} : { pinned: true }),
  };
}

/** When a day begins here, or the day so many after it; null for a day that no calendar has. */
function dayStart(day: string, later = 0): number | null {
  const [year = 0, month = 0, date = 0] = day.split("-").map(Number);
  const start = new Date(year, month - 1, date);
  if (start.getMonth() !== month - 1 || start.getDate() !== date) return null;
  start.setDate(start.getDate() + later);
  return start.getTime();
}

export type Chip = { name: Name; what: string };

/** What is filtered, in words. The text stands in its own field. */
export function chipsOf(filter: Filter, broadcastTitle: string | undefined): Chip[] {
  const words: Record<Name, (value: string) => string> = {
    q: m.library.chip.text,
    channel: (value) => `@${value}`,
    broadcast: () => broadcastTitle ?? m.library.onlyBroadcast,
    from: (value) => m.library.chip.from(dayWords(value)),
    to: (value) => m.library.chip.to(dayWords(value)),
    tag: m.library.chip.tag,
    visibility: (value) => m.library.visibility[value as (typeof VISIBILITIES)[number]],
    trouble: (value) => m.library.trouble[value as (typeof TROUBLES)[number]],
    kind: (value) => m.library.kind[value as (typeof KINDS)[number]],
    state: (value) => m.library.progress[value as (typeof PROGRESS)[number]],
    pinned: () => m.library.pinned,
  };
  return NAMES.flatMap((name) => {
    const value = filter[name];
    return value === undefined ? [] : [{ name, what: words[name](value) }];
  });
}

function dayWords(day: string): string {
  const at = dayStart(day);
  if (at === null) return day;
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" }).format(at);
}
