// Text that was not saved, kept in this browser under the clip's name until it is.
import { forget, recall, remember } from "@/ui/remember";
import type { Kept } from "./autosave";
import { FIELDS } from "./draft";

const name = (clip: string) => `oxbow-draft-${clip}`;

export function keptOf(clip: string): Kept | null {
  const text = recall(name(clip));
  if (text === null) return null;
  try {
    const kept = JSON.parse(text) as Kept;
    const whole = FIELDS.every((field) => field in kept.draft && field in kept.base);
    return whole && typeof kept.base.revision === "number" ? kept : null;
  } catch {
    return null;
  }
}

export function keep(clip: string, kept: Kept | null): void {
  if (kept === null) forget(name(clip));
  else remember(name(clip), JSON.stringify(kept));
}
