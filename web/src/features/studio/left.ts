// What a tab knows of its broadcast while its page is loaded anew. It stands in the tab's own storage, written when the page goes and
// taken out when the next one comes, so that a copy of the tab finds nothing. Going on with it is the session's.
import type { VideoCodec } from "@/rtc/link";
import { LEFT } from "@/rtc/on-air";
import { HOLD_MS, sendable } from "@/rtc/publisher";

export type Left = {
  channel: string;
  broadcast: string;
  codec: VideoCodec;
  /** The devices that were open, null for none. */
  camera: string | null;
  microphone: string | null;
  muted: boolean;
  sharing: boolean;
  /** UTC milliseconds. */
  leftAt: number;
};

export function leave(left: Left): void {
  try {
    sessionStorage.setItem(LEFT, JSON.stringify(left));
  } catch {
    // Without storage the person goes live again by hand.
  }
}

/** Takes it out: it counts once, and only while the server holds the broadcast. */
export function take(now: number): Left | null {
  try {
    const text = sessionStorage.getItem(LEFT);
    sessionStorage.removeItem(LEFT);
    const left = read(JSON.parse(text ?? "null"));
    return left !== null && now - left.leftAt < HOLD_MS && now >= left.leftAt ? left : null;
  } catch {
    return null;
  }
}

function read(value: unknown): Left | null {
  if (typeof value !== "object" || value === null) return null;
  const of = value as Record<string, unknown>;
  const device = (id: unknown) => id === null || typeof id === "string";
  const codec = sendable().find((able) => able === of.codec);
  const whole =
    typeof of.channel === "string" &&
    typeof of.broadcast === "string" &&
    device(of.camera) &&
    device(of.microphone) &&
    typeof of.muted === "boolean" &&
    typeof of.sharing === "boolean" &&
    typeof of.leftAt === "number";
  return whole && codec !== undefined ? ({ ...of, codec } as Left) : null;
}

/** The person loaded this page anew, rather than coming to it. */
export function reloaded(): boolean {
  const [entry] = performance.getEntriesByType("navigation");
  return entry instanceof PerformanceNavigationTiming && entry.type === "reload";
}

/** The browser gives these devices without a question. */
export async function granted(left: Left): Promise<boolean> {
  const names = [
    ...(left.camera === null ? [] : ["camera" as const]),
    ...(left.microphone === null ? [] : ["microphone" as const]),
  ];
  try {
    const states = await Promise.all(names.map((name) => navigator.permissions.query({ name })));
    return states.every(({ state }) => state === "granted");
  } catch {
    // A browser that does not say would ask.
    return false;
  }
}
