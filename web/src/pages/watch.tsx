import { useQueryClient } from "@tanstack/react-query";
import { Users } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import type { Clip, Requested } from "@/api/generated/protocol";
import { placeClip, useChannel, useClips } from "@/api/queries";
import type { Answer } from "@/api/socket";
import { ClipCard, ClipGrid } from "@/features/clips/clip-card";
import { ClipSheet, type Moment } from "@/features/clips/clip-sheet";
import { onRiver, rollovers, useClipList, useFresh } from "@/features/clips/list";
import { Theatre } from "@/features/player/theatre";
import { type Seat, usePlayerView, useSeat } from "@/features/player/use-player";
import { m } from "@/messages";
import { Avatar } from "@/ui/avatar";
import { clock, moment, timeOfDay } from "@/ui/format";
import { useNow, useTitle } from "@/ui/hooks";
import { KeyList } from "@/ui/key-list";
import { CLIP_KEY, MEDIA_KEYS } from "@/ui/media-keys";
import { toast } from "@/ui/toast";
import NotFoundPage from "./not-found";

export default function WatchPage() {
  const { handle = "" } = useParams();
  const channel = /^@([a-z0-9-]{1,32})$/.exec(handle)?.[1];
  return channel === undefined ? <NotFoundPage /> : <Watch key={channel} channel={channel} />;
}

/** See it live, keep a piece. */
function Watch({ channel }: { channel: string }) {
  useTitle(m.app.title(m.watch.title(channel)));
  const navigate = useNavigate();
  const [attempt, setAttempt] = useState(0);
  const seat = useSeat(channel, attempt);
  const view = usePlayerView(seat);
  const state = view.state;
  const channelQuery = useChannel(channel);
  const last = channelQuery.data?.lastBroadcast ?? null;

  const live = "live" in state ? state.live : null;
  const broadcast = live?.broadcast ?? (state.kind === "ended" ? state.ended.broadcast : (last?.id ?? null));
  const clipQuery = useClips({ broadcast: broadcast ?? "" }, broadcast !== null);
  // While the next broadcast's clips are on their way, the last one's are still in the query.
  const clips = useClipList(clipQuery.data).filter((clip) => clip.broadcast === broadcast);
  const fresh = useFresh(clips, clipQuery.isSuccess);
  const follow = useAnnouncedClips(seat, broadcast);
  const [keeping, setKeeping] = useState<Moment | null>(null);
  const [rewound, setRewound] = useState(false);
  const openSheet = async (shownAt: number | null) => {
    if (!seat || !live?.recording || keeping) return;
    const { broadcast, startedAt } = live;
    if (shownAt !== null) {
      return setKeeping({ broadcast, channel, startedAt, edgeMs: Math.max(0, shownAt - startedAt) });
    }
    // The server's clock tells where its broadcast is; ours may be wrong by minutes.
    const told = await seat.socket.latency();
    const now = told.ok ? told.utcMs : Date.now();
    setKeeping({ broadcast, channel, startedAt, edgeMs: Math.max(0, now - startedAt) });
  };
  const saved = ({ clip, address }: Requested) => {
    setKeeping(null);
    toast({ text: m.clipSheet.saving, tone: "kept" });
    if (clip) follow(clip, address?.page ?? clip.watch);
  };

  const open = (id: string) => navigate(`/c/${id}`, { state: { back: `/@${channel}` } });
  const startedAt = live?.startedAt ?? last?.startedAt ?? 0;
  return (
    <main className="flex-1">
      <Theatre
        seat={seat}
        view={view}
        channel={channel}
        clips={onRiver(clips, startedAt)}
        ticks={rollovers(clips, startedAt)}
        fresh={fresh}
        poster={clips.find((clip) => clip.poster !== null)?.poster ?? null}
        recording={live?.recording ?? false}
        onClip={(shownAt) => void openSheet(shownAt)}
        onRewound={setRewound}
        sheet={
          keeping && (
            <ClipSheet
              moment={keeping}
              onSave={async (wanted) => (await seat?.socket.clip(wanted)) ?? NOBODY_ASKED}
              onSaved={saved}
              onClose={() => setKeeping(null)}
            />
          )
        }
        onOpenClip={open}
        onRetry={() => setAttempt((count) => count + 1)}
        recordingOf={last && clips.length > 0 ? `/b/${last.id}` : null}
      />
      <TitleRow
        channel={channel}
        viewers={live ? (view.viewers ?? live.viewers) : null}
        latencyMs={state.kind === "live" && !rewound ? view.latencyMs : null}
        sound={live !== null && live.video === null && live.audio !== null}
        line={
          live
            ? m.home.since(timeOfDay(live.startedAt))
            : last?.endedAt
              ? `${moment(last.startedAt)} · ${clock(last.durationMs)}`
              : ""
        }
      />
      {broadcast !== null && (
        <BroadcastClips
          broadcast={broadcast}
          clips={clips}
          fresh={fresh}
          startedAt={startedAt}
          durationMs={live ? null : (last?.durationMs ?? 0)}
          recording={live?.recording ?? null}
          back={`/@${channel}`}
        />
      )}
      <KeyList keys={KEYS} />
      <p role="status" className="sr-only">
        {state.kind === "live" ? m.watch.announceLive(`@${channel}`) : ""}
      </p>
    </main>
  );
}

const KEYS = [...MEDIA_KEYS, CLIP_KEY, ["G", m.watch.keys.live] as const];

/** What a socket that is not there answers. */
const NOBODY_ASKED: Answer<Requested> = { ok: false, error: { code: "network", detail: "" } };

/** Puts announced clips into the lists, and says so for cuts and for what was saved here; the answer takes up such a clip. */
function useAnnouncedClips(seat: Seat | null, broadcast: string | null): (clip: Clip, page: string) => void {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const mine = useRef(new Map<string, string>());
  const said = useRef(new Set<string>());
  const heard = (clip: Clip) => {
    const isOurs = clip.kind === "made" ? mine.current.has(clip.id) : clip.broadcast === broadcast;
    if (!isOurs || clip.cause !== "request" || clip.state === "exporting" || said.current.has(clip.id))
      return;
    said.current.add(clip.id);
    if (clip.state === "failed") toast({ text: m.watch.clipFailed, tone: "error" });
    else {
      const page = mine.current.get(clip.id) ?? clip.watch;
      announce(clip, page, () => navigate(page, { state: { back: `/@${clip.channel}` } }));
    }
  };
  const latest = useRef(heard);
  latest.current = heard;
  useEffect(() => {
    if (!seat) return;
    return seat.socket.on("clip", ({ clip }: { clip: Clip }) => {
      placeClip(queries, clip);
      latest.current(clip);
    });
  }, [seat, queries]);
  return (clip, page) => {
    mine.current.set(clip.id, page);
    // It may have been announced before the answer came.
    const known = queries.getQueryData<Clip>(["clip", clip.id]);
    if (known) heard(known);
    else placeClip(queries, clip);
  };
}

function announce(clip: Clip, page: string, open: () => void): void {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(new URL(page, location.href).href);
      toast({ text: m.library.linkCopied });
    } catch {
      toast({ text: m.studio.copyFailed, tone: "error" });
    }
  };
  toast({
    text: m.watch.clipReady(clip.title),
    tone: "kept",
    more: { label: m.library.copyLink, run: () => void copy() },
    action: { label: m.watch.open, run: open },
  });
}

function TitleRow({
  channel,
  viewers,
  latencyMs,
  sound,
  line,
}: {
  channel: string;
  viewers: number | null;
  latencyMs: number | null;
  sound: boolean;
  line: string;
}) {
  return (
    <div className="flex items-center gap-3 px-[18px] pt-3 pb-3.5 max-tablet:border-b max-tablet:border-line max-tablet:bg-surface max-tablet:px-3.5 max-tablet:py-2.5">
      <Avatar name={channel} />
      <div className="min-w-0 flex-1">
        <h1 className="truncate text-title max-tablet:text-reading">@{channel}</h1>
        <p className="num min-h-[18px] truncate text-dense text-ink-2">{line}</p>
      </div>
      {latencyMs !== null && (
        <p
          className="num text-dense whitespace-nowrap text-ink-2"
          data-latency={latencyMs}
          title={m.count.behindWhat}
        >
          {m.count.behind(latencyMs)}
        </p>
      )}
      {viewers !== null && (
        <p
          className="num flex items-center gap-2 text-dense whitespace-nowrap text-ink-2"
          data-viewers={viewers}
        >
          <Users aria-hidden className="size-[15px]" strokeWidth={1.75} />
          {sound ? m.count.listening(viewers) : m.count.watching(viewers)}
        </p>
      )}
    </div>
  );
}

function BroadcastClips({
  broadcast,
  clips,
  fresh,
  startedAt,
  durationMs,
  recording,
  back,
}: {
  broadcast: string;
  clips: readonly Clip[];
  fresh: ReadonlySet<string>;
  startedAt: number;
  /** Null while it goes on. */
  durationMs: number | null;
  /** Null when the broadcast is over. */
  recording: boolean | null;
  back: string;
}) {
  const now = useNow(5_000);
  if (clips.length === 0 && recording === null) return null;
  return (
    <section className="px-[18px] pt-0.5 pb-6 max-tablet:px-3.5 max-tablet:pt-4">
      <div className="mb-2.5 flex items-baseline gap-2.5">
        <h2 className="text-base leading-6">{m.watch.clipsOf}</h2>
        <span className="num text-caption text-ink-3">{clips.length > 0 && clips.length}</span>
        {clips.length > 0 && (
          <Link
            to={`/library?broadcast=${broadcast}`}
            className="ml-auto text-dense font-control text-water hover:underline"
          >
            {m.home.allClips}
          </Link>
        )}
      </div>
      {clips.length === 0 ? (
        <p className="text-dense text-ink-3">{recording ? m.watch.clipsNone : m.watch.clipsOff}</p>
      ) : (
        <ClipGrid>
          {clips.slice(0, 20).map((clip) => (
            <ClipCard
              key={clip.id}
              clip={clip}
              span={{ startedAt, durationMs: durationMs ?? now - startedAt }}
              now={now}
              fresh={fresh.has(clip.id)}
              brief
              link={{ to: clip.watch, state: { back } }}
            />
          ))}
        </ClipGrid>
      )}
    </section>
  );
}
