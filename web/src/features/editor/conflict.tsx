// Two people changed the same field: both versions side by side, one is chosen for each field.
import { useState } from "react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Dialog } from "@/ui/dialog";
import { choose, type Draft, type Field } from "./draft";

type Side = "mine" | "theirs";

export function Conflict({
  mine,
  theirs,
  fields,
  onSettle,
}: {
  mine: Draft;
  theirs: Draft;
  fields: readonly Field[];
  onSettle: (draft: Draft) => void;
}) {
  const [choices, setChoices] = useState<Partial<Record<Field, Side>>>({});
  const [open, setOpen] = useState(true);
  const settled = fields.every((field) => choices[field] !== undefined);
  return (
    <>
      <div
        role="alert"
        className="flex flex-wrap items-center gap-3 border-b border-line bg-warn-soft px-3.5 py-2 text-dense text-warn"
      >
        <b>{m.editor.conflict(fields.length)}</b>
        <Button size="dense" onClick={() => setOpen(true)}>
          {m.editor.conflictChoose}
        </Button>
      </div>
      <Dialog
        open={open}
        wide
        onClose={() => setOpen(false)}
        title={m.editor.conflictTitle}
        description={m.editor.conflictText}
      >
        <div className="flex flex-col gap-4 border-t border-line p-4">
          {fields.map((field) => (
            <fieldset key={field}>
              <legend className="mb-1.5 text-dense font-control">{m.editor.fields[field]}</legend>
              <div className="grid gap-2 tablet:grid-cols-2">
                {(["mine", "theirs"] as const).map((side) => (
                  <label
                    key={side}
                    className={cn(
                      "flex cursor-pointer items-start gap-2.5 rounded-control border p-3 has-focus-visible:outline-2 has-focus-visible:outline-water",
                      choices[field] === side ? "border-water bg-water-soft text-water-2" : "border-line-2",
                    )}
                  >
                    <input
                      type="radio"
                      name={field}
                      checked={choices[field] === side}
                      onChange={() => setChoices({ ...choices, [field]: side })}
                      className="mt-1 accent-water"
                    />
                    <span className="min-w-0">
                      <span className="block text-caption">{m.editor.side[side]}</span>
                      <span className="block whitespace-pre-line [overflow-wrap:anywhere]">
                        {inWords(side === "mine" ? mine : theirs, field)}
                      </span>
                    </span>
                  </label>
                ))}
              </div>
            </fieldset>
          ))}
          <div className="flex justify-end gap-2">
            <Button variant="quiet" onClick={() => setOpen(false)}>
              {m.editor.conflictLater}
            </Button>
            <Button
              variant="water"
              disabled={!settled}
              onClick={() => onSettle(choose(mine, theirs, choices))}
            >
              {m.editor.conflictSave}
            </Button>
          </div>
        </div>
      </Dialog>
    </>
  );
}

function inWords(draft: Draft, field: Field): string {
  const texts: Record<Field, () => string> = {
    title: () => draft.title,
    description: () => draft.description,
    tags: () => draft.tags.join(", "),
    links: () => draft.links.map((link) => `${link.title}\n${link.url}`).join("\n"),
    visibility: () => m.editor.visibility[draft.visibility],
  };
  return texts[field]() || m.editor.nothing;
}
