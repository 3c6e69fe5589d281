// The editor's own top bar: what is edited, whether it is saved, and what can be made of it.
import { ChevronLeft, Download, FileAudio, FileVideo, Redo2, Undo2 } from "lucide-react";
import { Link } from "react-router";
import { m } from "@/messages";
import { Button, IconButton } from "@/ui/button";
import { timeOfDay } from "@/ui/format";
import { Menu, MenuItem } from "@/ui/menu";
import { Pill, type Tone } from "@/ui/pill";
import type { SaveState } from "./autosave";
import type { Visibility } from "./draft";

const ICON = { className: "size-[18px]", strokeWidth: 1.75, "aria-hidden": true } as const;

export type Format = "compatible" | "audio";

const TONES: Record<Visibility, Tone> = { hidden: "plain", link: "past", published: "ok" };

/** What is saved, in words. */
export function saveWords(state: SaveState): string {
  switch (state.kind) {
    case "saved":
      return state.atMs === null ? m.editor.allSaved : m.editor.savedAt(timeOfDay(state.atMs));
    case "changed":
      return m.editor.notSaved;
    case "saving":
      return m.editor.saving;
    case "kept":
      return m.editor.keptHere;
    case "refused":
      return m.editor.refused(state.detail);
    case "conflict":
      return m.editor.conflictWaits;
  }
}

export function Header({
  title,
  from,
  origin,
  visibility,
  state,
  back,
  undo,
  redo,
  media,
  hasSound,
  onExport,
  onPublish,
}: {
  title: string;
  /** Of which broadcast, in words. */
  from: string;
  /** The address of that moment of it. */
  origin: string;
  visibility: Visibility;
  state: SaveState;
  back: string;
  /** Null when there is nothing to undo. */
  undo: (() => void) | null;
  redo: (() => void) | null;
  media: string;
  hasSound: boolean;
  onExport: (format: Format) => void;
  onPublish: () => void;
}) {
  return (
    <header className="flex min-h-13 shrink-0 items-center gap-2 border-b border-line bg-surface py-1.5 pr-3.5 pl-2">
      <Link
        to={back}
        aria-label={m.editor.back}
        title={m.editor.back}
        className="inline-grid size-9 shrink-0 place-items-center rounded-control text-ink-2 hover:bg-hover max-tablet:size-11"
      >
        <ChevronLeft {...ICON} />
      </Link>
      <div className="min-w-0 flex-1">
        <div className="flex min-w-0 items-center gap-2">
          <h1 className="truncate text-reading">{title || m.editor.untitled}</h1>
          <Pill tone={TONES[visibility]} className="max-tablet:hidden">
            {m.editor.visibility[visibility]}
          </Pill>
        </div>
        <p className="flex min-w-0 gap-1 text-caption text-ink-3">
          <Link to={origin} className="truncate text-water underline underline-offset-2 max-tablet:hidden">
            {from}
          </Link>
          <span aria-hidden className="max-tablet:hidden">
            ·
          </span>
          <span role="status" data-save={state.kind} className="num truncate">
            {saveWords(state)}
          </span>
        </p>
      </div>
      <IconButton
        label={m.editor.undo}
        hint="Ctrl+Z"
        disabled={undo === null}
        onClick={() => undo?.()}
        className="max-tablet:hidden"
      >
        <Undo2 {...ICON} />
      </IconButton>
      <IconButton
        label={m.editor.redo}
        hint="Ctrl+Shift+Z"
        disabled={redo === null}
        onClick={() => redo?.()}
        className="max-tablet:hidden"
      >
        <Redo2 {...ICON} />
      </IconButton>
      <Menu
        trigger={
          <IconButton label={m.editor.export}>
            <Download {...ICON} />
          </IconButton>
        }
      >
        <MenuItem icon={<Download {...ICON} />} href={`${media}?download=1`} download>
          {m.editor.download}
        </MenuItem>
        <MenuItem icon={<FileVideo {...ICON} />} onSelect={() => onExport("compatible")}>
          {m.editor.compatible}
        </MenuItem>
        {hasSound && (
          <MenuItem icon={<FileAudio {...ICON} />} onSelect={() => onExport("audio")}>
            {m.editor.soundOnly}
          </MenuItem>
        )}
      </Menu>
      <Button
        variant="water"
        title={`${m.editor.publish} (Ctrl+Enter)`}
        disabled={visibility === "published"}
        onClick={onPublish}
      >
        {visibility === "published" ? m.editor.published : m.editor.publish}
      </Button>
    </header>
  );
}
