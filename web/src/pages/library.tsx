import { Search, X } from "lucide-react";
import { useDeferredValue, useEffect, useRef, useState } from "react";
import { Link, useLocation, useNavigate, useParams, useSearchParams } from "react-router";
import type { Clip } from "@/api/generated/protocol";
import { RequestError, useBroadcasts, useClips, useLives, useSession } from "@/api/queries";
import { AwayBanner } from "@/features/clips/away-banner";
import { ClipGrid } from "@/features/clips/clip-card";
import { ClipPlayer } from "@/features/clips/clip-player";
import { useFollowClips } from "@/features/clips/follow";
import { BroadcastGroup } from "@/features/clips/group";
import { groupByBroadcast, useClipList, useFresh } from "@/features/clips/list";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { inputClass } from "@/ui/field";
import { useKeys, useNow, useTitle } from "@/ui/hooks";
import { Block, Empty, Failed, Slow } from "@/ui/state";

/** Where a clip was opened from; closing it leads back there. */
type From = { back?: string } | null;

/** Find, play and manage clips. `/c/<clip>` is this page with that clip open. */
export default function LibraryPage() {
  const { clip: openClip } = useParams();
  const navigate = useNavigate();
  const from = useLocation().state as From;
  const [search, setSearch] = useSearchParams();
  const broadcast = search.get("broadcast") ?? undefined;
  const channel = search.get("channel") ?? undefined;
  const text = useDeferredValue(search.get("q")?.trim() || undefined);
  useTitle(m.app.title(m.library.title));

  const now = useNow(5_000);
  const mayWrite = useSession().data?.streamer ?? false;
  const filter = { ...(broadcast && { broadcast }), ...(channel && { channel }), ...(text && { text }) };
  const query = useClips(filter);
  const clips = useClipList(query.data);
  const fresh = useFresh(clips, query.isSuccess && !query.isPlaceholderData);
  const broadcasts = useBroadcasts();
  const lives = useLives().data?.items ?? [];
  useFollowClips(
    lives
      .filter((live) => live.recording && (!channel || live.channel === channel))
      .map((live) => live.channel),
  );
  const groups = groupByBroadcast(clips, broadcasts.data?.items ?? [], now);

  const here = `/library${search.size > 0 ? `?${search}` : ""}`;
  const linkTo = (clip: Clip) => ({ to: clip.watch, state: { back: here } });
  const filtered = broadcast !== undefined || channel !== undefined || text !== undefined;
  return (
    <main
      id="content"
      className="mx-auto w-full max-w-[1800px] flex-1 px-3.5 pt-3 pb-14 tablet:px-6 tablet:pt-[18px]"
    >
      <h1 className="text-page">{m.library.heading}</h1>
      <Tools
        text={search.get("q") ?? ""}
        channel={channel}
        broadcast={broadcast && (groups[0]?.title ?? m.library.onlyBroadcast)}
        channels={[...new Set((broadcasts.data?.items ?? []).map((item) => item.channel))].sort()}
        onChange={(name, value) =>
          setSearch(
            (before) => {
              const next = new URLSearchParams(before);
              if (value) next.set(name, value);
              else next.delete(name);
              return next;
            },
            { replace: true },
          )
        }
      />
      <AwayBanner />
      {query.isPending && <Loading />}
      {query.isError && clips.length === 0 && (
        <Failed
          text={
            query.error instanceof RequestError && query.error.failure.code === "away"
              ? m.library.failedAway
              : m.library.failed
          }
          details={
            query.error instanceof RequestError
              ? `${query.error.failure.code} ${query.error.failure.detail}`
              : undefined
          }
          onAgain={() => void query.refetch()}
        />
      )}
      {query.isSuccess && clips.length === 0 && !filtered && !query.data.pages[0]?.partial && (
        <Empty title={m.library.emptyTitle} text={m.library.emptyText}>
          <Button asChild variant="water">
            <Link to="/studio">{m.app.goLive}</Link>
          </Button>
        </Empty>
      )}
      {query.isSuccess && clips.length === 0 && filtered && (
        <Empty title={text ? m.library.noMatch(text) : m.library.noMatchFilter} text="">
          <Button onClick={() => setSearch({}, { replace: true })}>{m.library.dropFilter}</Button>
        </Empty>
      )}
      {groups.map((group) => (
        <BroadcastGroup
          key={group.id}
          group={group}
          now={now}
          fresh={fresh}
          mayWrite={mayWrite}
          single={broadcast !== undefined}
          linkTo={linkTo}
          onOpen={(id) => navigate(`/c/${id}`, { state: { back: here } })}
        />
      ))}
      {query.data?.pages[0]?.partial && (
        <p className="border-t border-line pt-3 text-dense text-ink-2">{m.library.failedAway}</p>
      )}
      {query.hasNextPage && (
        <div className="grid place-items-center border-t border-line pt-5">
          <Button onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
            {m.library.more}
          </Button>
        </div>
      )}
      {openClip !== undefined && (
        <ClipPlayer id={openClip} mayWrite={mayWrite} onClose={() => navigate(from?.back ?? "/library")} />
      )}
    </main>
  );
}

function Tools({
  text,
  channel,
  broadcast,
  channels,
  onChange,
}: {
  text: string;
  channel: string | undefined;
  broadcast: string | undefined;
  channels: readonly string[];
  onChange: (name: "q" | "channel" | "broadcast", value: string) => void;
}) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(text);
  const report = useRef(onChange);
  report.current = onChange;
  // The address follows the typing, a moment later.
  useEffect(() => {
    if (typed === text) return;
    const timer = setTimeout(() => report.current("q", typed), 250);
    return () => clearTimeout(timer);
  }, [typed, text]);
  useKeys({ "/": () => field.current?.focus() });
  return (
    <div className="mt-3 mb-3.5 flex items-center gap-2.5 max-tablet:gap-2 tablet:flex-wrap">
      <div className="relative min-w-0 flex-1 tablet:w-80 tablet:flex-none">
        <Search
          aria-hidden
          className="pointer-events-none absolute top-1/2 left-[11px] size-[15px] -translate-y-1/2 text-ink-2"
          strokeWidth={1.75}
        />
        <input
          ref={field}
          type="search"
          value={typed}
          aria-label={m.library.searchLabel}
          placeholder={m.library.search}
          onChange={(event) => setTyped(event.target.value)}
          className={cn(inputClass(), "pl-[34px]")}
        />
      </div>
      {channels.length > 1 && !broadcast && (
        <select
          aria-label={m.library.channels}
          value={channel ?? ""}
          onChange={(event) => onChange("channel", event.target.value)}
          className={cn(inputClass(), "w-auto max-w-[46%] shrink-0 pr-2")}
        >
          <option value="">{m.library.allChannels}</option>
          {channels.map((name) => (
            <option key={name} value={name}>
              @{name}
            </option>
          ))}
        </select>
      )}
      {channel && (channels.length <= 1 || broadcast) && (
        <Chip what={`@${channel}`} onRemove={() => onChange("channel", "")} />
      )}
      {broadcast && <Chip what={broadcast} onRemove={() => onChange("broadcast", "")} />}
    </div>
  );
}

function Chip({ what, onRemove }: { what: string; onRemove: () => void }) {
  return (
    <button
      type="button"
      aria-label={m.library.removeFilter(what)}
      onClick={onRemove}
      className="inline-flex h-9 max-w-[50%] min-w-0 items-center gap-1.5 rounded-control bg-water-soft px-2.5 text-dense font-control text-water-2 max-tablet:h-11"
    >
      <span className="truncate">{what}</span>
      <X aria-hidden className="size-[15px] shrink-0" strokeWidth={1.75} />
    </button>
  );
}

function Loading() {
  return (
    <section aria-label={m.library.loading} className="border-t border-line pt-3">
      <Block className="mb-3 h-9 w-52" />
      <ClipGrid>
        {Array.from({ length: 10 }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: blocks are all alike
          <div key={index}>
            <Block className="bend aspect-video w-full" />
            <Block className="mt-7 h-4 w-4/5" />
            <Block className="mt-2 h-3 w-1/2" />
          </div>
        ))}
      </ClipGrid>
      <Slow />
    </section>
  );
}
