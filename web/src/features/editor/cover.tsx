// Which picture stands for the clip: one of those that were found to show the most, or the one on the screen.
import { Image } from "lucide-react";
import { useState } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { timecode } from "./range";

export type Candidate = { number: number; address: string; atMs: number; chosen: boolean };

export function Cover({
  candidates,
  onChoose,
  onThis,
}: {
  candidates: readonly Candidate[];
  onChoose: (number: number) => void;
  /** Makes the picture on the screen one of them, and the cover. */
  onThis: () => Promise<void>;
}) {
  const [busy, setBusy] = useState(false);
  if (candidates.length === 0) return null;
  return (
    <fieldset>
      <legend className="mb-[5px] text-dense font-control">{m.editor.cover}</legend>
      <div className="grid grid-cols-3 gap-2">
        {candidates.map((candidate) => (
          <label
            key={candidate.number}
            className={cn(
              "bend block cursor-pointer outline-offset-2 has-focus-visible:outline-2 has-focus-visible:outline-water",
              candidate.chosen && "outline-2 outline-water",
            )}
          >
            <input
              type="radio"
              name="cover"
              checked={candidate.chosen}
              aria-label={m.editor.coverAt(timecode(candidate.atMs))}
              onChange={() => onChoose(candidate.number)}
              className="sr-only"
            />
            <img src={candidate.address} alt="" className="bend block aspect-video w-full object-cover" />
          </label>
        ))}
      </div>
      <Button
        size="dense"
        className="mt-2"
        disabled={busy}
        onClick={() => {
          setBusy(true);
          void onThis().finally(() => setBusy(false));
        }}
      >
        <Image aria-hidden className="size-[15px]" strokeWidth={1.75} />
        {m.editor.coverThis}
      </Button>
    </fieldset>
  );
}
