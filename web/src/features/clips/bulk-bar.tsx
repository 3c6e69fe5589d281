// What can be done with all chosen clips at once.
import { useQueryClient } from "@tanstack/react-query";
import { Combine, Download, EyeOff, Globe, Link2, Pin, PinOff, Tag, Trash2, X } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import type { Clip } from "@/api/generated/protocol";
import { type Bulk, bulkClips, deleteClips, mergeClips } from "@/api/library";
import { hideClip, unhideClip } from "@/api/queries";
import { m } from "@/messages";
import { Button, IconButton } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { Field } from "@/ui/field";
import { Menu, MenuItem } from "@/ui/menu";
import { toast } from "@/ui/toast";

const ICON = { className: "size-[15px]", strokeWidth: 1.75, "aria-hidden": true } as const;
const ITEM = { className: "size-[18px]", strokeWidth: 1.75, "aria-hidden": true } as const;

export function BulkBar({
  clips,
  onClear,
  onMade,
}: {
  /** Those that are chosen, as the page orders them. */
  clips: readonly Clip[];
  onClear: () => void;
  /** A clip was asked for that is made of them. */
  onMade: (clip: Clip) => void;
}) {
  const queries = useQueryClient();
  const [tagging, setTagging] = useState(false);
  const [busy, setBusy] = useState(false);
  const ids = clips.map((clip) => clip.id);
  const change = async (bulk: Omit<Bulk, "ids">, done: (n: number) => string) => {
    setBusy(true);
    const { changed, failed } = await bulkClips(queries, { ids, ...bulk });
    setBusy(false);
    if (changed > 0) toast({ text: done(changed) });
    if (failed.length > 0) toast({ text: m.bulk.failed(failed.length, failed[0] ?? ""), tone: "error" });
  };
  const merge = async () => {
    setBusy(true);
    const made = await mergeClips(inOrder(clips), m.bulk.mergeTitle(clips.length));
    setBusy(false);
    if (made.ok) onMade(made.value);
    else toast({ text: m.bulk.mergeFailed(made.error.detail), tone: "error" });
  };
  const pinned = clips.every((clip) => clip.pinned);
  return (
    <>
      <section
        aria-label={m.bulk.bar}
        className="rise fixed bottom-5 left-1/2 z-20 flex w-max max-w-[calc(100vw-28px)] -translate-x-1/2 flex-wrap items-center gap-1 rounded-float bg-stage px-2 py-1.5 text-stage-ink shadow-float max-tablet:bottom-[66px] max-tablet:w-full max-tablet:justify-center"
      >
        <b
          role="status"
          className="num px-2 font-control whitespace-nowrap max-tablet:basis-full max-tablet:py-1.5"
        >
          {m.bulk.selected(clips.length)}
        </b>
        <span aria-hidden className="mx-1 h-6 w-px bg-stage-line max-tablet:hidden" />
        <Act disabled={busy} onClick={() => setTagging(true)}>
          <Tag {...ICON} />
          {m.bulk.tag}
        </Act>
        <Menu
          trigger={
            <Act disabled={busy}>
              <Globe {...ICON} />
              {m.bulk.seen}
            </Act>
          }
        >
          <MenuItem
            icon={<Globe {...ITEM} />}
            onSelect={() => void change({ edit: { visibility: "published" } }, m.bulk.published)}
          >
            {m.library.visibility.published}
          </MenuItem>
          <MenuItem
            icon={<Link2 {...ITEM} />}
            onSelect={() => void change({ edit: { visibility: "link" } }, m.bulk.linked)}
          >
            {m.library.visibility.link}
          </MenuItem>
          <MenuItem
            icon={<EyeOff {...ITEM} />}
            onSelect={() => void change({ edit: { visibility: "hidden" } }, m.bulk.hidden)}
          >
            {m.library.visibility.hidden}
          </MenuItem>
        </Menu>
        <Act
          disabled={busy}
          onClick={() => void change({ edit: { pinned: !pinned } }, pinned ? m.bulk.unpinned : m.bulk.pinned)}
        >
          {pinned ? <PinOff {...ICON} /> : <Pin {...ICON} />}
          {pinned ? m.bulk.unpin : m.bulk.pin}
        </Act>
        {clips.length > 1 && (
          <Act disabled={busy} onClick={() => void merge()}>
            <Combine {...ICON} />
            {m.bulk.merge}
          </Act>
        )}
        <Act onClick={() => downloadAll(clips)}>
          <Download {...ICON} />
          {m.bulk.download}
        </Act>
        <Act
          disabled={busy}
          onClick={() => {
            deleteWithUndo(ids, (n) => deleteClips(queries, n));
            onClear();
          }}
        >
          <Trash2 {...ICON} />
          {m.bulk.delete}
        </Act>
        <IconButton
          small
          label={m.bulk.clear}
          onClick={onClear}
          className="text-stage-ink hover:bg-stage-raised hover:text-stage-ink max-tablet:absolute max-tablet:top-1 max-tablet:right-1"
        >
          <X {...ICON} />
        </IconButton>
      </section>
      {tagging && (
        <TagDialog
          clips={clips}
          onClose={() => setTagging(false)}
          onTag={(tags) => {
            setTagging(false);
            void change(tags, m.bulk.tagged);
          }}
        />
      )}
    </>
  );
}

function Act(props: React.ComponentProps<typeof Button>) {
  return <Button {...props} variant="quiet" size="dense" className="text-stage-ink hover:bg-stage-raised" />;
}

/** As they happened: broadcast after broadcast, each from its start on. */
function inOrder(clips: readonly Clip[]): Clip[] {
  return [...clips].sort((a, b) => a.startedAt - b.startedAt || a.part - b.part);
}

/** One after the other, since browsers take one download for each click. */
function downloadAll(clips: readonly Clip[]): void {
  for (const clip of clips) {
    const link = document.createElement("a");
    link.href = `${clip.media}?download=1`;
    link.download = "";
    link.click();
  }
}

/** Hides the clips at once and deletes them when the offer to undo has passed. */
export function deleteWithUndo(
  ids: readonly string[],
  remove: (ids: readonly string[]) => Promise<string[]>,
): void {
  for (const id of ids) hideClip(id);
  // Leaving the page is no undo.
  const leave = () => void remove(ids);
  window.addEventListener("pagehide", leave);
  const stay = () => window.removeEventListener("pagehide", leave);
  toast({
    text: m.bulk.deleted(ids.length),
    action: {
      label: m.app.undo,
      run: () => {
        stay();
        for (const id of ids) unhideClip(id);
      },
    },
    onExpire: () => {
      stay();
      void remove(ids).then((failed) => {
        if (failed.length > 0) toast({ text: m.bulk.deleteFailed(failed.length), tone: "error" });
      });
    },
  });
}

function TagDialog({
  clips,
  onClose,
  onTag,
}: {
  clips: readonly Clip[];
  onClose: () => void;
  onTag: (tags: { addTags?: string[]; removeTags?: string[] }) => void;
}) {
  const [typed, setTyped] = useState("");
  const [removed, setRemoved] = useState<readonly string[]>([]);
  const legend = useId();
  const known = [...new Set(clips.flatMap((clip) => clip.tags))].sort();
  const added = typed
    .split(",")
    .map((tag) => tag.trim().split(/\s+/).join(" ").toLowerCase())
    .filter((tag) => tag !== "");
  const save = (event: FormEvent) => {
    event.preventDefault();
    onTag({
      ...(added.length > 0 ? { addTags: added } : {}),
      ...(removed.length > 0 ? { removeTags: [...removed] } : {}),
    });
  };
  const long = added.some((tag) => [...tag].length > 40);
  return (
    <Dialog open onClose={onClose} title={m.bulk.tagTitle(clips.length)}>
      <form onSubmit={save} noValidate className="flex flex-col gap-3.5">
        <Field
          label={m.bulk.addTags}
          hint={m.bulk.addTagsHint}
          error={long ? m.bulk.tagLong : undefined}
          value={typed}
          autoComplete="off"
          onChange={(event) => setTyped(event.target.value)}
        />
        {known.length > 0 && (
          <fieldset>
            <legend id={legend} className="mb-[5px] text-dense font-control">
              {m.bulk.removeTags}
            </legend>
            <div className="flex flex-wrap gap-x-4 gap-y-1.5">
              {known.map((tag) => (
                <label key={tag} className="inline-flex min-h-6 items-center gap-2">
                  <input
                    type="checkbox"
                    checked={removed.includes(tag)}
                    onChange={(event) =>
                      setRemoved(
                        event.target.checked ? [...removed, tag] : removed.filter((one) => one !== tag),
                      )
                    }
                    className="size-4 accent-water"
                  />
                  {tag}
                </label>
              ))}
            </div>
          </fieldset>
        )}
        <div className="flex justify-end gap-2">
          <Button variant="quiet" onClick={onClose}>
            {m.app.cancel}
          </Button>
          <Button variant="water" type="submit" disabled={long || added.length + removed.length === 0}>
            {m.app.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
