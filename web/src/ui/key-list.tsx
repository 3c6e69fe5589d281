import { useState } from "react";
import { m } from "@/messages";
import { Dialog } from "./dialog";
import { useKeys } from "./hooks";

/** "?" shows the keys of the page. */
export function KeyList({ keys }: { keys: readonly (readonly [key: string, does: string])[] }) {
  const [open, setOpen] = useState(false);
  useKeys({ "?": () => setOpen(true) });
  return (
    <Dialog open={open} onClose={() => setOpen(false)} title={m.app.keysFor}>
      <dl className="mt-1 grid grid-cols-[auto_1fr] gap-x-4">
        {keys.map(([key, does]) => (
          <div key={key} className="contents">
            <dt className="border-t border-line py-2">
              <kbd className="rounded-picture border border-b-2 border-line bg-surface px-1.5 text-caption font-control text-ink-2">
                {key}
              </kbd>
            </dt>
            <dd className="border-t border-line py-2">{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
