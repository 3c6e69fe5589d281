// One broadcast, over or going on: its replay for those who may see it, and what was kept of it.
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { api } from "@/api/client";
import type { Broadcast, Clip, Requested } from "@/api/generated/protocol";
import { placeClip, RequestError, useClips, useSession } from "@/api/queries";
import { fileOf, playlistOf, type ReplayState, useBroadcast, useReplayState } from "@/api/replay";
import { BulkBar } from "@/features/clips/bulk-bar";
import { useChoice } from "@/features/clips/choice";
import { ClipActions } from "@/features/clips/clip-actions";
import { ClipCard, ClipGrid } from "@/features/clips/clip-card";
import { ClipSheet, type Moment } from "@/features/clips/clip-sheet";
import { useFollowClips } from "@/features/clips/follow";
import { onRiver, rollovers, useClipList, useFresh } from "@/features/clips/list";
import { hasPicture } from "@/features/clips/words";
import { OneFile } from "@/features/replay/one-file";
import { NoPicture, ReplayPlayer } from "@/features/replay/player";
import { m } from "@/messages";
import { Avatar } from "@/ui/avatar";
import { Button } from "@/ui/button";
import { clock, codecName, moment } from "@/ui/format";
import { useKeys, useNow, useTitle } from "@/ui/hooks";
import { KeyList } from "@/ui/key-list";
import { CLIP_KEY, MEDIA_KEYS } from "@/ui/media-keys";
import { River } from "@/ui/river";
import { Block, Empty, Failed, Slow } from "@/ui/state";
import { toast } from "@/ui/toast";

/** Without the key a range has at most so much, so that all of a longer broadcast is no file for them. */
const LONGEST_FILE_MS = 180_000;

const KEYS = [...MEDIA_KEYS, CLIP_KEY];

export default function BroadcastPage() {
  const { broadcast: id = "" } = useParams();
  const query = useBroadcast(id);
  const session = useSession();
  const replay = useReplayState(id);
  useTitle(m.app.title(query.data ? titleOf(query.data) : m.broadcast.title));
  if (query.error instanceof RequestError && query.error.failure.status === 404) {
    return (
      <Plain>
        <Empty level={1} title={m.broadcast.missing} text={m.broadcast.missingText}>
          <Button asChild>
            <Link to="/library">{m.app.library}</Link>
          </Button>
        </Empty>
      </Plain>
    );
  }
  if (query.isError && !query.data) {
    return (
      <Plain>
        <Failed text={m.broadcast.loadFailed} onAgain={() => void query.refetch()} />
      </Plain>
    );
  }
  if (!query.data || session.isPending || replay.isPending) {
    return (
      <main id="content" aria-label={m.broadcast.loading} className="flex-1">
        <Block className="aspect-video max-h-[calc(100dvh-226px)] w-full" />
        <Slow />
      </main>
    );
  }
  return (
    <Ready
      key={id}
      broadcast={query.data}
      replay={replay.isError ? null : replay.data}
      onAskAgain={() => void replay.refetch()}
      mayWrite={session.data?.streamer ?? false}
    />
  );
}

function Plain({ children }: { children: ReactNode }) {
  return (
    <main id="content" className="mx-auto w-full max-w-[720px] flex-1 p-4">
      {children}
    </main>
  );
}

function titleOf(broadcast: Broadcast): string {
  return broadcast.title || m.broadcast.untitled(broadcast.channel);
}

function Ready({
  broadcast,
  replay,
  onAskAgain,
  mayWrite,
}: {
  broadcast: Broadcast;
  /** Null when nobody knows. */
  replay: ReplayState | null;
  onAskAgain: () => void;
  mayWrite: boolean;
}) {
  const { id, channel, startedAt, live } = broadcast;
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const here = `/b/${id}`;
  const now = useNow(5_000);
  const query = useClips({ broadcast: id });
  const clips = useClipList(query.data);
  const fresh = useFresh(clips, query.isSuccess && !query.isPlaceholderData);
  useFollowClips([channel], mayWrite);
  const choice = useChoice(clips, mayWrite);
  useKeys({ delete: choice.commands.remove, escape: choice.clear }, mayWrite && choice.chosen.length > 0);
  const [asFile, setAsFile] = useState(false);
  const keep = useKeep(broadcast, () => clips);
  const open = (clip: string) => navigate(`/c/${clip}`, { state: { back: here } });

  const durationMs = live ? Math.max(0, now - startedAt) : broadcast.durationMs;
  const parts = clips.filter((clip) => clip.kind === "part");
  const picture = clips.length === 0 || clips.some(hasPicture);
  const playable = replay === "open" || asFile;
  return (
    <main className="flex-1">
      {playable ? (
        <ReplayPlayer
          source={asFile ? { kind: "file", url: fileOf(id) } : { kind: "segments", url: playlistOf(id) }}
          startedAt={startedAt}
          durationMs={durationMs}
          live={live}
          startMs={secondsOf(search.get("at")) * 1_000}
          poster={parts.at(-1)?.poster ?? clips.at(-1)?.poster ?? null}
          soundOnly={!picture}
          clips={onRiver(clips, startedAt, durationMs)}
          ticks={rollovers(parts, startedAt)}
          fresh={fresh}
          onOpenClip={open}
          onClip={keep.open}
          sheet={keep.sheet}
        />
      ) : (
        <>
          <WhyNot
            replay={replay}
            codec={parts.find(hasPicture)?.video ?? null}
            hasClips={clips.length > 0}
            mayWrite={mayWrite}
            onAskAgain={onAskAgain}
            onPlayFile={!live && (mayWrite || durationMs <= LONGEST_FILE_MS) ? () => setAsFile(true) : null}
          />
          <div className="border-b border-line bg-surface px-[18px] py-1.5 max-tablet:px-3.5">
            <River
              durationMs={Math.max(1, durationMs)}
              clips={onRiver(clips, startedAt, durationMs)}
              ticks={rollovers(parts, startedAt)}
              fresh={fresh}
              {...(live ? { edge: "live" as const } : {})}
              label={m.river.whole(clock(durationMs), clips.length)}
              onOpen={open}
            />
          </div>
        </>
      )}
      <div className="flex flex-wrap items-center gap-3 px-[18px] pt-3 pb-3.5 max-tablet:border-b max-tablet:border-line max-tablet:bg-surface max-tablet:px-3.5 max-tablet:py-2.5">
        <Avatar name={channel} />
        <div className="min-w-0 flex-1 max-tablet:basis-[70%]">
          <h1 className="truncate text-title max-tablet:text-reading">{titleOf(broadcast)}</h1>
          <p className="num truncate text-dense text-ink-2">
            <Link to={`/@${channel}`} className="text-water underline underline-offset-2">
              @{channel}
            </Link>
            {` · ${moment(startedAt, now)} · ${clock(durationMs)}`}
          </p>
        </div>
        {live && (
          <Button asChild variant="live">
            <Link to={`/@${channel}`}>{m.broadcast.live}</Link>
          </Button>
        )}
        {mayWrite && (
          <OneFile
            broadcast={id}
            title={titleOf(broadcast)}
            hasPicture={picture}
            hasSound={clips.length === 0 || clips.some((clip) => clip.audio !== null)}
          />
        )}
      </div>
      <section className="px-[18px] pt-0.5 pb-24 max-tablet:px-3.5 max-tablet:pt-4">
        <div className="mb-2.5 flex flex-wrap items-baseline gap-x-2.5">
          <h2 className="text-base leading-6">{m.broadcast.clips}</h2>
          <span className="num text-caption text-ink-3">{clips.length > 0 && clips.length}</span>
          {mayWrite && clips.length > 1 && (
            <p className="text-dense text-ink-2 max-tablet:basis-full">{m.broadcast.highlights}</p>
          )}
          {clips.length > 0 && (
            <Link
              to={`/library?broadcast=${id}`}
              className="ml-auto text-dense font-control text-water hover:underline max-tablet:ml-0"
            >
              {m.broadcast.inLibrary}
            </Link>
          )}
        </div>
        {query.isSuccess && clips.length === 0 && (
          <p className="text-dense text-ink-3">{live ? m.watch.clipsNone : m.broadcast.clipsNone}</p>
        )}
        <ClipGrid>
          {clips.map((clip) => (
            <ClipCard
              key={clip.id}
              clip={clip}
              span={{ startedAt, durationMs }}
              now={now}
              fresh={fresh.has(clip.id)}
              brief={!mayWrite}
              link={{ to: clip.watch, state: { back: here } }}
              choice={choice.of?.(clip)}
              actions={<ClipActions clip={clip} mayWrite={mayWrite} />}
            />
          ))}
        </ClipGrid>
        {query.hasNextPage && (
          <div className="grid place-items-center pt-5">
            <Button onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
              {m.library.more}
            </Button>
          </div>
        )}
      </section>
      {choice.chosen.length > 0 && (
        <BulkBar
          clips={choice.chosen}
          onClear={choice.clear}
          onMade={(clip) => navigate(`/library/clips/${clip.id}`, { state: { back: here } })}
        />
      )}
      {playable && <KeyList keys={KEYS} />}
    </main>
  );
}

/** `?at=` of the address: seconds since the broadcast began. */
function secondsOf(text: string | null): number {
  const seconds = Number(text ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : 0;
}

function WhyNot({
  replay,
  codec,
  hasClips,
  mayWrite,
  onAskAgain,
  onPlayFile,
}: {
  replay: ReplayState | null;
  codec: string | null;
  hasClips: boolean;
  mayWrite: boolean;
  onAskAgain: () => void;
  onPlayFile: (() => void) | null;
}) {
  switch (replay) {
    case "soon":
      return <NoPicture title={m.broadcast.soon} text={m.broadcast.soonText} />;
    case "gone":
      return (
        <NoPicture title={m.broadcast.gone} text={hasClips ? m.broadcast.goneClips : m.broadcast.goneAll} />
      );
    case "unsupported":
      return (
        <NoPicture
          title={m.broadcast.unsupported(codecName(codec ?? "vp8"))}
          text={onPlayFile ? m.broadcast.unsupportedFile : m.broadcast.unsupportedText}
        >
          {onPlayFile && (
            <Button variant="stage" onClick={onPlayFile}>
              {m.broadcast.playFile}
            </Button>
          )}
        </NoPicture>
      );
    case "closed":
      return (
        <NoPicture title={m.broadcast.closed} text={m.broadcast.closedText}>
          {!mayWrite && (
            <Button asChild variant="stage">
              <Link to="/studio">{m.broadcast.enterKey}</Link>
            </Button>
          )}
        </NoPicture>
      );
    default:
      return (
        <NoPicture title={m.broadcast.failed} text={m.broadcast.asked}>
          <Button variant="stage" onClick={onAskAgain}>
            {m.app.tryAgain}
          </Button>
        </NoPicture>
      );
  }
}

/** The sheet that keeps a piece of what was just shown. */
function useKeep({ id, channel, startedAt }: Broadcast, clips: () => readonly Clip[]) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [keeping, setKeeping] = useState<Moment | null>(null);
  const saved = ({ clip, address }: Requested) => {
    setKeeping(null);
    if (!clip) return;
    const known = clips().some((one) => one.id === clip.id);
    if (!known) placeClip(queries, clip);
    toast({
      text: m.clipSheet.saving,
      tone: "kept",
      action: {
        label: m.watch.open,
        run: () => navigate(address?.page ?? clip.watch, { state: { back: `/b/${id}` } }),
      },
    });
  };
  return {
    open: (edgeMs: number) =>
      setKeeping({ broadcast: id, channel, startedAt, edgeMs: Math.max(5_000, edgeMs) }),
    sheet: keeping && (
      <ClipSheet
        moment={keeping}
        onSave={async (wanted) => {
          const result = await api.clipOf(channel, wanted);
          if (result.ok) return { ok: true, ...result.value };
          const { code, detail } = result.error;
          return { ok: false, error: { code, detail } };
        }}
        onSaved={saved}
        onClose={() => setKeeping(null)}
      />
    ),
  };
}
