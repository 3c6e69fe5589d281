import { useQueryClient } from "@tanstack/react-query";
import { Download, Ellipsis, Pencil, RotateCw, Scissors, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation, useNavigate } from "react-router";
import type { Clip } from "@/api/generated/protocol";
import { deleteClip, hideClip, retryClip, unhideClip } from "@/api/queries";
import { m } from "@/messages";
import { IconButton } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { toast } from "@/ui/toast";
import { RenameDialog } from "./rename-dialog";
import { isHeldUp } from "./words";

const ICON = { className: "size-[18px]", strokeWidth: 1.75, "aria-hidden": true } as const;

/** Download for everybody; rename, delete and another try for the streamer. */
export function ClipActions({
  clip,
  mayWrite,
  onDeleted,
}: {
  clip: Clip;
  mayWrite: boolean;
  onDeleted?: () => void;
}) {
  const [renaming, setRenaming] = useState(false);
  const remove = useDelete();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { pathname, search, state } = useLocation();
  // Over the library lies the open clip, which has no page to go back to but the library's.
  const here = (state as { back?: string } | null)?.back ?? `${pathname}${search}`;
  const retry = async () => {
    const result = await retryClip(queries, clip.id);
    if (result.ok) toast({ text: m.clip.retried(clip.title) });
    else toast({ text: m.clip.retryFailed(clip.title), tone: "error" });
  };
  return (
    <>
      <Menu
        trigger={
          <IconButton small label={m.clip.actions(clip.title)}>
            <Ellipsis {...ICON} />
          </IconButton>
        }
      >
        {mayWrite && isHeldUp(clip) && (
          <MenuItem icon={<RotateCw {...ICON} />} onSelect={() => void retry()}>
            {m.clip.retry}
          </MenuItem>
        )}
        {mayWrite && (
          <MenuItem
            icon={<Scissors {...ICON} />}
            onSelect={() => navigate(`/library/clips/${clip.id}`, { state: { back: here } })}
          >
            {m.library.edit}
          </MenuItem>
        )}
        {mayWrite && (
          <MenuItem icon={<Pencil {...ICON} />} onSelect={() => setRenaming(true)}>
            {m.clip.rename}
          </MenuItem>
        )}
        <MenuItem icon={<Download {...ICON} />} href={`${clip.media}?download=1`} download>
          {m.clip.download}
        </MenuItem>
        {mayWrite && (
          <MenuItem
            danger
            icon={<Trash2 {...ICON} />}
            onSelect={() => {
              remove(clip);
              onDeleted?.();
            }}
          >
            {m.clip.delete}
          </MenuItem>
        )}
      </Menu>
      {renaming && <RenameDialog clip={clip} onClose={() => setRenaming(false)} />}
    </>
  );
}

/** Hides the clip at once and deletes it when the offer to undo has passed. */
export function useDelete(): (clip: Clip) => void {
  const queries = useQueryClient();
  return (clip) => {
    hideClip(clip.id);
    // Leaving the page is no undo.
    const leave = () => void deleteClip(queries, clip.id);
    window.addEventListener("pagehide", leave);
    toast({
      text: m.clip.deleted(clip.title),
      action: {
        label: m.app.undo,
        run: () => {
          window.removeEventListener("pagehide", leave);
          unhideClip(clip.id);
        },
      },
      onExpire: () => {
        window.removeEventListener("pagehide", leave);
        void deleteClip(queries, clip.id).then((result) => {
          if (!result.ok && result.error.code !== "not_found") {
            toast({ text: m.clip.deleteFailed(clip.title), tone: "error" });
          }
        });
      },
    });
  };
}
