// One clip in a sheet over the library: the file in a plain <video>, controls in a deck under the picture.
import { AudioLines, Download, Link2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import type { Clip } from "@/api/generated/protocol";
import { pageFor, RequestError, useClip } from "@/api/queries";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { clock, codecName, length, moment, size } from "@/ui/format";
import { KeyList } from "@/ui/key-list";
import { PlayControls, ScreenControls } from "@/ui/media-deck";
import { setTheatre } from "@/ui/media-elements";
import { MEDIA_KEYS, togglePlaying, useMediaKeys } from "@/ui/media-keys";
import { Pill } from "@/ui/pill";
import { Block, Failed } from "@/ui/state";
import { toast } from "@/ui/toast";
import { ClipActions } from "./clip-actions";
import { TroublePills } from "./trouble-pills";
import { hasPicture, how, stateOf } from "./words";

const CONTROLLER = "oxbow-clip";

export function ClipPlayer({
  id,
  link,
  mayWrite,
  onClose,
}: {
  id: string;
  /** Of the address by which the page was opened. */
  link?: string | undefined;
  mayWrite: boolean;
  onClose: () => void;
}) {
  const query = useClip(id, link);
  const clip = query.data;
  const gone = query.error instanceof RequestError && [404, 410].includes(query.error.failure.status ?? 0);
  return (
    <Dialog
      open
      wide
      onClose={onClose}
      title={clip?.title ?? (gone ? m.library.gone : m.library.loading)}
      description={
        clip
          ? `@${clip.channel} · ${moment(clip.startedAt)} · ${how(clip)}`
          : gone
            ? m.library.goneText
            : m.library.about
      }
    >
      {clip && <Playing key={clip.id} clip={clip} mayWrite={mayWrite} onClose={onClose} />}
      {!clip && query.isPending && <Block className="aspect-video w-full" />}
      {query.isError && !gone && !clip && (
        <div className="p-4">
          <Failed text={m.library.loadFailed} onAgain={() => void query.refetch()} />
        </div>
      )}
    </Dialog>
  );
}

function Playing({ clip, mayWrite, onClose }: { clip: Clip; mayWrite: boolean; onClose: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState(false);
  const seek = (place: (now: number, end: number) => number) => {
    const element = video.current;
    if (!element) return;
    const end = Number.isFinite(element.duration) ? element.duration : clip.durationMs / 1_000;
    element.currentTime = Math.min(Math.max(0, place(element.currentTime, end)), end);
  };
  useMediaKeys({
    video,
    frame,
    toggle: () => togglePlaying(video.current),
    step: (ms) => seek((now) => now + ms / 1_000),
    toPart: (part) => seek((_, end) => end * part),
  });
  // It was opened to be watched: the press that opened it lets it start with sound, an address alone does not.
  useEffect(() => {
    setTheatre(CONTROLLER, frame.current);
    if (navigator.userActivation?.hasBeenActive) void video.current?.play().catch(() => {});
  }, []);
  return (
    <div>
      <div ref={frame} className="theatre">
        <div className="relative aspect-video max-h-[calc(100dvh-260px)] w-full overflow-hidden bg-stage text-stage-ink">
          <media-controller id={CONTROLLER} nohotkeys className="absolute inset-0">
            {/* biome-ignore lint/a11y/useMediaCaption: clips have no captions in this product yet */}
            <video
              ref={video}
              slot="media"
              src={clip.media}
              poster={clip.poster ?? undefined}
              playsInline
              preload="auto"
              onError={() => setFailed(true)}
              className="size-full object-contain"
            >
              {clip.storyboard && <track kind="metadata" label="thumbnails" default src={clip.storyboard} />}
            </video>
          </media-controller>
          {!hasPicture(clip) && (
            <span className="pointer-events-none absolute inset-0 grid place-items-center">
              <AudioLines aria-hidden className="size-14 text-stage-water" strokeWidth={1.75} />
            </span>
          )}
          {failed && (
            <p
              role="alert"
              className="absolute inset-0 grid place-content-center bg-veil px-6 text-center text-reading"
            >
              {m.library.playFailed}
            </p>
          )}
        </div>
        <div className="deck border-b border-line bg-surface px-3 pt-1 pb-1.5 max-tablet:px-2">
          <media-time-range mediacontroller={CONTROLLER} aria-label={m.watch.seek} />
          <div className="flex h-[42px] items-center gap-1">
            <PlayControls controller={CONTROLLER} />
            <Position video={video} durationMs={clip.durationMs} />
            <span className="flex-1" />
            <ScreenControls controller={CONTROLLER} />
          </div>
        </div>
      </div>
      <KeyList keys={MEDIA_KEYS} />
      <Facts clip={clip} mayWrite={mayWrite} onDeleted={onClose} />
    </div>
  );
}

function Position({
  video,
  durationMs,
}: {
  video: { current: HTMLVideoElement | null };
  durationMs: number;
}) {
  const [at, setAt] = useState(0);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const heard = () => setAt(element.currentTime * 1_000);
    element.addEventListener("timeupdate", heard);
    element.addEventListener("seeking", heard);
    return () => {
      element.removeEventListener("timeupdate", heard);
      element.removeEventListener("seeking", heard);
    };
  }, [video]);
  return (
    <span className="num text-dense text-ink-2">
      <span className="font-control text-ink">{clock(at)}</span> / {length(durationMs)}
    </span>
  );
}

/** Its address may carry a link already. */
function downloadOf(clip: Clip): string {
  return `${clip.media}${clip.media.includes("?") ? "&" : "?"}download=1`;
}

function Facts({ clip, mayWrite, onDeleted }: { clip: Clip; mayWrite: boolean; onDeleted: () => void }) {
  const state = stateOf(clip);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(new URL(await pageFor(clip, mayWrite), location.href).href);
      toast({ text: m.library.linkCopied });
    } catch {
      toast({ text: m.studio.copyFailed, tone: "error" });
    }
  };
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-2 py-3 pr-3 pl-4">
      <Pill tone={state.tone}>{state.word}</Pill>
      <TroublePills clip={clip} />
      {clip.health && (
        <span className="num text-dense text-ink-2" title={m.library.scoreTip}>
          {m.library.score(clip.health.score)}
        </span>
      )}
      <span className="num text-dense text-ink-2">{size(clip.size)}</span>
      <Link
        to={`/b/${clip.broadcast}?at=${Math.floor(clip.fromMs / 1_000)}`}
        className="num text-dense font-control text-water hover:underline"
      >
        {m.broadcast.fromBroadcast(clock(clip.fromMs))}
      </Link>
      {hasPicture(clip) && (
        <span className="num text-dense text-ink-2">
          {m.watch.quality(clip.height, codecName(clip.video))}
        </span>
      )}
      {clip.error && (
        <span className="text-dense text-danger" title={clip.error}>
          {m.clip.failedText}
        </span>
      )}
      <span className="flex-1" />
      <Button size="dense" onClick={() => void copy()}>
        <Link2 aria-hidden className="size-[15px]" strokeWidth={1.75} />
        {m.library.copyLink}
      </Button>
      <Button size="dense" asChild>
        <a href={downloadOf(clip)} download>
          <Download aria-hidden className="size-[15px]" strokeWidth={1.75} />
          {m.clip.download}
        </a>
      </Button>
      {mayWrite && <ClipActions clip={clip} mayWrite onDeleted={onDeleted} />}
    </div>
  );
}
