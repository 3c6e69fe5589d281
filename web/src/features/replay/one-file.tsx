// The whole of a broadcast as one file: made on the server, it appears among the clips.
import { useQueryClient } from "@tanstack/react-query";
import { FileAudio, FileDown, FileVideo, Film } from "lucide-react";
import { useState } from "react";
import { api } from "@/api/client";
import type { NewClip } from "@/api/generated/protocol";
import { placeClip } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { toast } from "@/ui/toast";

const ICON = { className: "size-[18px]", strokeWidth: 1.75, "aria-hidden": true } as const;
/** Of a title, as the server has it. */
const LONGEST = 200;

export function OneFile({
  broadcast,
  title,
  hasPicture,
  hasSound,
}: {
  broadcast: string;
  title: string;
  hasPicture: boolean;
  hasSound: boolean;
}) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);
  const make = async (format: NonNullable<NewClip["format"]>) => {
    setAsking(true);
    const made = await api.makeClip({
      title: [...m.broadcast.fileTitle[format](title)].slice(0, LONGEST).join(""),
      pieces: [{ broadcast }],
      format,
    });
    setAsking(false);
    if (!made.ok) return toast({ text: m.broadcast.fileFailed(made.error.detail), tone: "error" });
    placeClip(queries, made.value);
    toast({ text: m.broadcast.fileMaking });
  };
  return (
    <Menu
      trigger={
        <Button disabled={asking}>
          <FileDown aria-hidden className="size-[15px]" strokeWidth={1.75} />
          {m.broadcast.file}
        </Button>
      }
    >
      <MenuItem icon={<Film {...ICON} />} onSelect={() => void make("original")}>
        {m.broadcast.fileOriginal}
      </MenuItem>
      {hasPicture && (
        <MenuItem icon={<FileVideo {...ICON} />} onSelect={() => void make("compatible")}>
          {m.broadcast.fileCompatible}
        </MenuItem>
      )}
      {hasSound && (
        <MenuItem icon={<FileAudio {...ICON} />} onSelect={() => void make("audio")}>
          {m.broadcast.fileAudio}
        </MenuItem>
      )}
    </Menu>
  );
}
