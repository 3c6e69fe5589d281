// Keep a piece of what was just shown: over the lower right of the picture, from below on the phone. The picture plays on.
import { type FormEvent, useState } from "react";
import type { ClipWanted, Requested } from "@/api/generated/protocol";
import type { Answer } from "@/api/socket";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Field } from "@/ui/field";
import { timeOfDay } from "@/ui/format";
import { Sheet } from "@/ui/sheet";
import { lastMoments, type Range } from "./trim";
import { Trimmer } from "./trimmer";

/** Of a title, as the server has it. */
const LONGEST = 200;

/** What of which broadcast the viewer was looking at when the sheet was opened. */
export type Moment = { broadcast: string; channel: string; edgeMs: number; startedAt: number };

type Props = {
  moment: Moment;
  onSave: (wanted: ClipWanted) => Promise<Answer<Requested>>;
  onSaved: (requested: Requested) => void;
  onClose: () => void;
};

export function ClipSheet({ moment, onSave, onSaved, onClose }: Props) {
  const [{ bounds, range: usual }] = useState(() => lastMoments(moment.edgeMs));
  const [range, setRange] = useState<Range>(usual);
  const [title, setTitle] = useState(() =>
    m.clipSheet.title(`@${moment.channel}`, timeOfDay(moment.startedAt + moment.edgeMs)),
  );
  const [saving, setSaving] = useState(false);
  const [error, setError] = useState("");
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setSaving(true);
    setError("");
    const reply = await onSave({
      title: title.trim(),
      from: Math.round(range.from),
      to: Math.round(range.to),
      broadcast: moment.broadcast,
    });
    setSaving(false);
    if (reply.ok) onSaved(reply);
    else setError(reply.error.code === "rate_limited" ? m.clipSheet.tooOften : m.clipSheet.failed);
  };
  return (
    <Sheet title={m.clipSheet.heading} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} noValidate>
        <Trimmer range={range} bounds={bounds} onChange={setRange} />
        <Field
          className="mt-3"
          label={m.clip.titleLabel}
          value={title}
          maxLength={LONGEST}
          autoComplete="off"
          onChange={(event) => setTitle(event.target.value)}
        />
        <p role="alert" className="mt-2 min-h-[18px] text-dense text-danger">
          {error}
        </p>
        <div className="mt-1 flex justify-end gap-2">
          <Button variant="quiet" onClick={onClose}>
            {m.app.cancel}
          </Button>
          <Button variant="kept" type="submit" disabled={saving}>
            {m.clipSheet.save}
          </Button>
        </div>
      </form>
    </Sheet>
  );
}
