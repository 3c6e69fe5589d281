import { Search, X } from "lucide-react";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation, useNavigate, useParams, useSearchParams } from "react-router";
import type { Clip } from "@/api/generated/protocol";
import { RequestError, useBroadcasts, useClips, useLives, useSession } from "@/api/queries";
import { AwayBanner } from "@/features/clips/away-banner";
import { BulkBar } from "@/features/clips/bulk-bar";
import { useChoiceByKeys } from "@/features/clips/choice";
import { ClipGrid } from "@/features/clips/clip-card";
import { ClipPlayer } from "@/features/clips/clip-player";
import { type Chip, chipsOf, type Name, queryOf, readFilter, withFilter } from "@/features/clips/filter";
import { FilterRail, FilterSheet } from "@/features/clips/filter-rail";
import { useFollowClips } from "@/features/clips/follow";
import { BroadcastGroup } from "@/features/clips/group";
import { groupByBroadcast, useClipList, useFresh } from "@/features/clips/list";
import { NoMatch } from "@/features/clips/no-match";
import { StoragePanel } from "@/features/clips/storage-panel";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { inputClass } from "@/ui/field";
import { useKeys, useNow, useTitle } from "@/ui/hooks";
import { KeyList } from "@/ui/key-list";
import { Block, Empty, Failed, Slow } from "@/ui/state";

/** Where a clip was opened from; closing it leads back there. */
type From = { back?: string } | null;

const KEYS = [
  ["\u2190 \u2192 \u2191 \u2193", m.library.keys.move],
  ["Home End", m.library.keys.ends],
  ["Enter", m.library.keys.open],
  ["Space", m.library.keys.select],
  ["Ctrl + A", m.library.keys.all],
  ["Delete", m.library.keys.delete],
  ["Esc", m.library.keys.clear],
  ["F", m.library.keys.filters],
  ["/", m.library.keys.search],
] as const;

/** Tags to choose from beside the clips. */
const TAGS = 12;

/** Find, play and manage clips. `/c/<clip>` is this page with that clip open. */
export default function LibraryPage() {
  const { clip: openClip } = useParams();
  const navigate = useNavigate();
  const from = useLocation().state as From;
  const [search, setSearch] = useSearchParams();
  const filter = readFilter(search);
  const link = search.get("link") ?? undefined;
  const { broadcast, channel } = filter;
  const asked = useDeferredValue(JSON.stringify(queryOf(filter)));
  useTitle(m.app.title(m.library.title));

  const now = useNow(5_000);
  const mayWrite = useSession().data?.streamer ?? false;
  const query = useClips(useMemo(() => JSON.parse(asked), [asked]));
  const clips = useClipList(query.data);
  const fresh = useFresh(clips, query.isSuccess && !query.isPlaceholderData);
  const broadcasts = useBroadcasts();
  const lives = useLives().data?.items ?? [];
  useFollowClips(
    lives
      .filter((live) => live.recording && (!channel || live.channel === channel))
      .map((live) => live.channel),
    mayWrite,
  );
  const groups = groupByBroadcast(clips, broadcasts.data?.items ?? [], now);
  const shown = groups.flatMap((group) => group.clips);
  const choice = useChoiceByKeys(shown, mayWrite && openClip === undefined);

  const here = `/library${search.size > 0 ? `?${search}` : ""}`;
  const linkTo = (clip: Clip) => ({ to: clip.watch, state: { back: here } });
  const change = (name: Name, value: string) =>
    setSearch((before) => withFilter(before, name, value), { replace: true });
  const broadcastTitle = broadcast && (groups[0]?.title ?? titleOf(broadcast, broadcasts.data?.items));
  const chips = chipsOf(filter, broadcastTitle);
  const filters = {
    filter,
    channels: [...new Set((broadcasts.data?.items ?? []).map((item) => item.channel))].sort(),
    tags: tagsOf(clips, filter.tag),
    onChange: change,
  };
  const none = query.isSuccess && clips.length === 0;
  return (
    <div className="flex flex-1 items-start">
      {mayWrite && <FilterRail {...filters} />}
      <main
        id="content"
        className="mx-auto w-full max-w-[1800px] min-w-0 flex-1 px-3.5 pt-3 pb-24 tablet:px-6 tablet:pt-[18px]"
      >
        <h1 className="text-page">{m.library.heading}</h1>
        <div className="mt-3 mb-3.5 flex flex-wrap items-center gap-2.5 max-tablet:gap-2">
          <SearchField text={filter.q ?? ""} onChange={(text) => change("q", text)} />
          {mayWrite && <FilterSheet {...filters} />}
          <Chips chips={chips.filter((chip) => chip.name !== "q")} onRemove={(name) => change(name, "")} />
        </div>
        <AwayBanner />
        {mayWrite && <StoragePanel />}
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
        {none && chips.length === 0 && !query.data.pages[0]?.partial && (
          <Empty title={m.library.emptyTitle} text={m.library.emptyText}>
            <Button asChild variant="water">
              <Link to="/studio">{m.app.goLive}</Link>
            </Button>
          </Empty>
        )}
        {none && chips.length > 0 && (
          <NoMatch
            filter={filter}
            broadcastTitle={broadcastTitle}
            onDrop={(name) => change(name, "")}
            onDropAll={() => setSearch({}, { replace: true })}
          />
        )}
        {groups.map((group) => (
          <BroadcastGroup
            key={group.id}
            group={group}
            now={now}
            fresh={fresh}
            mayWrite={mayWrite}
            linkTo={linkTo}
            choice={choice.of}
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
        {choice.chosen.length > 0 && (
          <BulkBar
            clips={choice.chosen}
            onClear={choice.clear}
            onMade={(clip) => navigate(`/library/clips/${clip.id}`, { state: { back: here } })}
          />
        )}
        {openClip !== undefined ? (
          <ClipPlayer
            id={openClip}
            link={link}
            mayWrite={mayWrite}
            onClose={() => navigate(from?.back ?? "/library")}
          />
        ) : (
          <KeyList keys={KEYS} />
        )}
      </main>
    </div>
  );
}

function titleOf(broadcast: string, all: readonly { id: string; title: string }[] | undefined) {
  return all?.find((item) => item.id === broadcast)?.title || undefined;
}

/** The tags of these clips, the most used first; the one that is filtered by is always among them. */
function tagsOf(clips: readonly Clip[], chosen: string | undefined): string[] {
  const counts = new Map<string, number>();
  for (const tag of clips.flatMap((clip) => clip.tags)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const used = [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([tag]) => tag);
  return chosen === undefined ? used.slice(0, TAGS) : [...new Set([chosen, ...used])].slice(0, TAGS);
}

function SearchField({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(text);
  const report = useRef(onChange);
  report.current = onChange;
  // The address follows the typing, a moment later.
  useEffect(() => {
    if (typed.trim() === text) return;
    const timer = setTimeout(() => report.current(typed.trim()), 250);
    return () => clearTimeout(timer);
  }, [typed, text]);
  // A chip that is dropped empties the field.
  useEffect(() => {
    if (text === "") setTyped("");
  }, [text]);
  useKeys({ "/": () => field.current?.focus() });
  return (
    <div className="relative min-w-48 flex-1 tablet:w-80 tablet:flex-none">
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
  );
}

/** What the page is filtered by, each to be taken away. */
function Chips({ chips, onRemove }: { chips: readonly Chip[]; onRemove: (name: Name) => void }) {
  if (chips.length === 0) return null;
  return (
    <ul aria-label={m.library.filteredBy} className="contents">
      {chips.map(({ name, what }) => (
        <li key={name} className="max-w-full min-w-0">
          <button
            type="button"
            aria-label={m.library.removeFilter(what)}
            onClick={() => onRemove(name)}
            className="inline-flex h-9 max-w-full min-w-0 items-center gap-1.5 rounded-control bg-water-soft px-2.5 text-dense font-control text-water-2 max-tablet:h-11"
          >
            <span className="truncate">{what}</span>
            <X aria-hidden className="size-[15px] shrink-0" strokeWidth={1.75} />
          </button>
        </li>
      ))}
    </ul>
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
