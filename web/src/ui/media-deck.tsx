// What the decks under all players are made of. Each player puts its own between them.
import { RotateCcw, Scissors } from "lucide-react";
import { m } from "@/messages";
import { Button, IconButton } from "./button";
import "./media-elements";

type Linked = {
  /** The id of the media-controller that the picture is in. */
  controller: string;
};

/** Play, sound, and ten seconds back where there is a back. */
export function PlayControls({
  controller,
  onBack,
  muteClass,
}: Linked & { onBack?: (() => void) | null; muteClass?: string }) {
  return (
    <>
      <media-play-button mediacontroller={controller} title={`${m.watch.play} (K)`} />
      {onBack && (
        <IconButton label={m.watch.keys.back} hint="J" onClick={onBack} className="max-tablet:hidden">
          <RotateCcw aria-hidden className="size-[18px]" strokeWidth={1.75} />
        </IconButton>
      )}
      <media-mute-button mediacontroller={controller} title={`${m.watch.mute} (M)`} className={muteClass} />
      <media-volume-range mediacontroller={controller} className="mr-2 max-tablet:hidden" />
    </>
  );
}

/** Picture in picture and full screen. */
export function ScreenControls({ controller }: Linked) {
  return (
    <>
      <media-pip-button
        mediacontroller={controller}
        title={`${m.watch.pip} (P)`}
        className="max-tablet:hidden"
      />
      <media-fullscreen-button mediacontroller={controller} title={`${m.watch.fullscreen} (F)`} />
    </>
  );
}

export function ClipButton({ onClip }: { onClip: () => void }) {
  return (
    <Button variant="kept" title={`${m.clipSheet.tip} (C)`} onClick={onClip} className="max-tablet:px-3">
      <Scissors aria-hidden className="size-[15px]" strokeWidth={1.75} />
      <span className="max-[359px]:sr-only">{m.watch.clip}</span>
      <kbd className="rounded-picture border border-current px-[5px] text-caption leading-[15px] font-control max-tablet:hidden">
        C
      </kbd>
    </Button>
  );
}
