import { type FormEvent, useState } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { Field } from "@/ui/field";

/** Asks since when everything is to be told again. */
export function ReplayForm({
  busy,
  onDone,
  onClose,
}: {
  busy: boolean;
  /** UTC milliseconds. */
  onDone: (since: number) => void;
  onClose: () => void;
}) {
  const [since, setSince] = useState("");
  const [missing, setMissing] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const at = new Date(since).getTime();
    if (Number.isNaN(at)) setMissing(true);
    else onDone(Math.max(0, at));
  };
  return (
    <Dialog open onClose={onClose} title={m.webhooks.replayTitle} description={m.webhooks.replayText}>
      <form noValidate onSubmit={submit} className="mt-2 flex flex-col gap-3.5">
        <Field
          label={m.webhooks.since}
          type="datetime-local"
          value={since}
          onChange={(event) => setSince(event.target.value)}
          error={missing ? m.webhooks.sinceMissing : undefined}
        />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{m.app.cancel}</Button>
          <Button type="submit" variant="water" disabled={busy}>
            {m.webhooks.replay}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
