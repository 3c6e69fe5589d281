import { AudioLines } from "lucide-react";
import { type ReactNode, useEffect, useRef, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { codecName } from "@/ui/format";
import { StillWater } from "@/ui/logo";
import { Pill } from "@/ui/pill";
import { Corner } from "@/ui/still";
import { studio } from "./session";

/** What the camera or the screen gives. Silent, and nobody else sees it before the broadcast. */
export function Preview({
  live,
  codec,
  children,
}: {
  live: boolean;
  codec: string | null;
  children?: ReactNode;
}) {
  const { sources } = studio;
  const view = useSyncExternalStore(sources.view.subscribe, sources.view.snapshot);
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = view.video ? new MediaStream([view.video]) : null;
  }, [view.video]);
  const height = view.video?.getSettings().height ?? 0;
  const mirrored = view.video !== null && !view.sharing && view.video.getSettings().facingMode === "user";
  return (
    <div className="relative aspect-video w-full shrink-0 overflow-hidden bg-stage text-stage-ink tablet:rounded-picture">
      <video
        ref={video}
        muted
        autoPlay
        playsInline
        aria-label={m.studio.preview}
        className={`size-full object-contain ${mirrored && !live ? "-scale-x-100" : ""}`}
      />
      {!view.video && !children && (
        <div className="absolute inset-0 grid place-content-center justify-items-center gap-3 text-stage-ink-2">
          {view.audio ? (
            <>
              <AudioLines aria-hidden className="size-12 text-stage-water" strokeWidth={1.75} />
              <span>{m.pill.soundOnly}</span>
            </>
          ) : (
            <StillWater className="w-[220px] [&>path]:stroke-stage-water" />
          )}
        </div>
      )}
      {view.video && (
        <>
          <Corner at="tl">
            <Pill tone="off">{live ? m.studio.asViewersSee : m.studio.previewYours}</Pill>
          </Corner>
          {codec && height > 0 && (
            <Corner at="tr">
              <Pill tone="off">{m.watch.quality(height, codecName(codec))}</Pill>
            </Corner>
          )}
        </>
      )}
      {children}
    </div>
  );
}
