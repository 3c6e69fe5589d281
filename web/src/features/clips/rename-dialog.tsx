import { type FormEvent, useState } from "react";
import type { Clip } from "@/api/generated/protocol";
import { RequestError, useRenameClip } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { Field } from "@/ui/field";
import { toast } from "@/ui/toast";

const LONGEST = 200;

export function RenameDialog({ clip, onClose }: { clip: Clip; onClose: () => void }) {
  const [title, setTitle] = useState(clip.title);
  const [error, setError] = useState<string>();
  const rename = useRenameClip();
  const save = (event: FormEvent) => {
    event.preventDefault();
    const next = title.trim();
    if (next === "") return setError(m.clip.titleMissing);
    if (next.length > LONGEST) return setError(m.clip.titleLong);
    if (next === clip.title) return onClose();
    rename.mutate(
      { id: clip.id, title: next, revision: clip.revision },
      {
        onSuccess: () => {
          toast({ text: m.clip.renamed });
          onClose();
        },
        onError: (cause) => {
          const conflict = cause instanceof RequestError && cause.failure.code === "conflict";
          setError(conflict ? m.clip.renameConflict : m.clip.renameFailed);
        },
      },
    );
  };
  return (
    <Dialog open onClose={onClose} title={m.clip.rename}>
      <form onSubmit={save} noValidate>
        <Field
          label={m.clip.titleLabel}
          value={title}
          error={error}
          autoComplete="off"
          onChange={(event) => {
            setTitle(event.target.value);
            setError(undefined);
          }}
          onFocus={(event) => event.target.select()}
        />
        <div className="mt-4 flex justify-end gap-2">
          <Button variant="quiet" onClick={onClose}>
            {m.app.cancel}
          </Button>
          <Button variant="water" type="submit" disabled={rename.isPending}>
            {m.app.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
