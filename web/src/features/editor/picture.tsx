// The picture, never covered but by the place in its corner.
import { AudioLines } from "lucide-react";
import { useEffect, useRef } from "react";
import { m } from "@/messages";
import { timecode } from "./range";
import type { Playing, Transport } from "./transport";

export function Picture({
  media,
  poster,
  sound,
  failed,
  beyond,
  transport,
}: {
  media: string;
  poster: string | null;
  /** There is no picture because there is only sound. */
  sound: boolean;
  failed: boolean;
  beyond: Playing["beyond"];
  transport: Transport;
}) {
  const video = useRef<HTMLVideoElement>(null);
  const place = useRef<HTMLSpanElement>(null);
  const held = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    return transport.attach(element, () => {
      const canvas = held.current;
      if (!canvas || element.videoWidth === 0 || element.readyState < 2) return;
      canvas.width = element.videoWidth;
      canvas.height = element.videoHeight;
      canvas.getContext("2d")?.drawImage(element, 0, 0);
    });
  }, [transport]);
  useEffect(
    () =>
      transport.onMove((ms) => {
        if (place.current) place.current.textContent = timecode(ms);
      }),
    [transport],
  );
  return (
    <div className="relative grid min-h-0 flex-1 place-items-center bg-stage text-stage-ink max-laptop:aspect-video max-laptop:flex-none">
      <canvas ref={held} aria-hidden className="absolute inset-0 size-full object-contain" />
      {/* biome-ignore lint/a11y/useMediaCaption: clips have no captions in this product yet */}
      <video
        ref={video}
        src={media}
        poster={poster ?? undefined}
        playsInline
        preload="auto"
        aria-label={m.editor.picture}
        className="absolute inset-0 size-full object-contain"
      />
      {sound && <AudioLines aria-hidden className="relative size-14 text-stage-water" strokeWidth={1.75} />}
      {failed && (
        <p
          role="alert"
          className="absolute inset-0 grid place-content-center bg-veil px-6 text-center text-reading"
        >
          {m.editor.playFailed}
        </p>
      )}
      {!failed && beyond !== null && (
        <p
          role="status"
          className="absolute top-3 left-3 max-w-[calc(100%-24px)] rounded-picture bg-veil px-2.5 py-1 text-dense text-stage-ink"
        >
          {beyond === "loading" ? m.editor.beyondLoading : m.editor.beyondFailed}
        </p>
      )}
      <span
        ref={place}
        className="num absolute bottom-3 left-3 rounded-picture bg-veil px-2.5 py-1 text-dense font-control text-stage-ink"
      />
    </div>
  );
}
