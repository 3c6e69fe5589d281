import type { Clip } from "@/api/generated/protocol";
import { m } from "@/messages";
import { clock } from "@/ui/format";
import type { Tone } from "@/ui/pill";

/** "automatic, clip 3"; without the number where the title says it, and of a clip that was made, which has none. Parts count from 0 on the wire and from 1 for people. */
export function how(clip: Clip): string {
  const [cause, number] = [m.clip.cause[clip.cause] ?? clip.cause, clip.part + 1];
  if (clip.kind === "made") return cause;
  return clip.title === m.clip.untitled(number) ? cause : m.clip.part(cause, number);
}

/** "0.8 s lost", or nothing. Less than a tenth of a second is not worth a word. */
export function lost(clip: Clip): string | null {
  if (clip.lostMs < 100) return null;
  const time = clip.lostMs < 60_000 ? `${(clip.lostMs / 1_000).toFixed(1)}\u2009s` : clock(clip.lostMs);
  return m.clip.lost(time);
}

const TONES: Record<Clip["state"], Tone> = {
  exporting: "plain",
  queued: "gold",
  uploading: "gold",
  verified: "past",
  stored: "past",
  failed: "bad",
};

/** Whether its last try failed and another one comes, by itself or by hand. */
export function isHeldUp(clip: Clip): boolean {
  return clip.state === "failed" || (clip.state !== "stored" && clip.error !== null);
}

export function stateOf(clip: Clip): { tone: Tone; word: string } {
  if (clip.state !== "failed" && isHeldUp(clip)) return { tone: "warn", word: m.clip.again };
  return { tone: TONES[clip.state], word: m.clip.state[clip.state] };
}

export function hasPicture(clip: Clip): boolean {
  return clip.video !== null;
}

/** Sound that is off by less is not noticed (ITU-R BT.1359). */
const NOTICED_MS = 40;

/** What was measured and needs a look, in words, the longest first. */
export function troubles({ health }: Clip): string[] {
  if (!health) return [];
  const found: [number, string][] = [
    [health.silentMs, m.library.trouble.silent],
    [health.blackMs, m.library.trouble.black],
    [health.frozenMs, m.library.trouble.frozen],
    [health.flashingMs, m.library.flashing],
    [health.spoiltMs, m.library.spoilt],
  ];
  const words = found
    .filter(([ms]) => ms > 0)
    .sort(([one], [other]) => other - one)
    .map(([ms, word]) => m.library.troubleFor(word, seconds(ms)));
  const offset = health.avOffsetMs ?? 0;
  return Math.abs(offset) > NOTICED_MS ? [...words, m.library.soundOff(offset)] : words;
}

function seconds(ms: number): string {
  return ms < 60_000 ? `${Math.max(1, Math.round(ms / 1_000))}\u2009s` : clock(ms);
}
