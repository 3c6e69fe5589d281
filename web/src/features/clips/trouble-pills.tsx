import type { Clip } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Pill } from "@/ui/pill";
import { lost, troubles } from "./words";

/** What is wrong with a clip, each in a word with its length. */
export function TroublePills({ clip }: { clip: Clip }) {
  const missing = lost(clip);
  return (
    <>
      {missing && (
        <Pill tone="warn" title={m.clip.lostTip}>
          {missing}
        </Pill>
      )}
      {troubles(clip).map((word) => (
        <Pill key={word} tone="warn">
          {word}
        </Pill>
      ))}
    </>
  );
}
