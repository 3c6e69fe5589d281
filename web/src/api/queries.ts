// What the pages ask the server for, and how long an answer is good. Components use these hooks, never the client.
import {
  type InfiniteData,
  QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useRef, useSyncExternalStore } from "react";
import { api, type ClipFilter } from "./client";
import { type Connection, connection } from "./connection";
import type { Clip, Page } from "./generated/protocol";
import type { Failure, Result } from "./http";

/** A failed request as TanStack Query wants it: thrown. */
export class RequestError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.detail);
    this.failure = failure;
  }
}

export async function need<T>(result: Promise<Result<T>>): Promise<T> {
  const settled = await result;
  if (!settled.ok) throw new RequestError(settled.error);
  return settled.value;
}

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // A refusal stays a refusal; only silence and "away" are worth asking again.
        retry: (count, error) =>
          error instanceof RequestError && ["network", "away"].includes(error.failure.code) && count < 2,
        staleTime: 5_000,
      },
    },
  });
}

export function useSession() {
  return useQuery({ queryKey: ["session"], queryFn: () => need(api.session()), staleTime: 60_000 });
}

export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (key: string) => need(api.signIn(key)),
    onSuccess: async () => {
      // A question that was asked without the cookie must not answer last.
      await queries.cancelQueries({ queryKey: ["session"] });
      queries.setQueryData(["session"], { streamer: true });
    },
  });
}

export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => need(api.signOut()),
    onSuccess: () => queries.setQueryData(["session"], { streamer: false }),
  });
}

export function useServerInfo() {
  return useQuery({ queryKey: ["server"], queryFn: () => need(api.server()), refetchInterval: 15_000 });
}

/** Disk, stored clips and outbox; for the holder of the key. */
export function useStorage() {
  return useQuery({ queryKey: ["storage"], queryFn: () => need(api.storage()), refetchInterval: 30_000 });
}

/** What would be deleted now. */
export function useRetention() {
  return useQuery({ queryKey: ["retention"], queryFn: () => need(api.retention()), staleTime: 0 });
}

/** Which parts are away and since when; asked only while something is away. 503 carries the same body. */
export function useReadiness(enabled: boolean) {
  return useQuery({
    queryKey: ["readiness"],
    enabled,
    refetchInterval: 15_000,
    queryFn: () => need(api.readiness()),
  });
}

export function useLives() {
  return useQuery({ queryKey: ["lives"], queryFn: () => need(api.channels()), refetchInterval: 5_000 });
}

export function useChannel(channel: string) {
  return useQuery({
    queryKey: ["channel", channel],
    queryFn: () => need(api.channel(channel)),
    staleTime: 0,
  });
}

export function useChannelStats(channel: string, enabled: boolean) {
  return useQuery({
    queryKey: ["stats", channel],
    queryFn: () => need(api.stats(channel)),
    enabled,
    refetchInterval: 1_000,
    refetchIntervalInBackground: true,
    staleTime: 0,
    retry: false,
    gcTime: 0,
  });
}

/** The media sessions, again every two seconds. For those who hold the key. */
export function useConnections() {
  return useQuery({
    queryKey: ["connections"],
    queryFn: () => need(api.connections()),
    refetchInterval: 2_000,
    staleTime: 0,
  });
}

/** All that is known of one, again every second while it is known. */
export function useConnectionReport(session: string) {
  return useQuery({
    queryKey: ["connection", session],
    queryFn: () => need(api.connection(session)),
    refetchInterval: (query) => (query.state.error === null ? 1_000 : false),
    staleTime: 0,
    gcTime: 0,
    retry: false,
    // Two reports are compared, so that each must be one of its own.
    structuralSharing: false,
  });
}

export function useBroadcasts() {
  return useQuery({ queryKey: ["broadcasts"], queryFn: () => need(api.broadcasts(100)), staleTime: 10_000 });
}

/** Clips, newest first. Asked again by itself while one of them is still on its way to the store. */
export function useClips(filter: Omit<ClipFilter, "cursor">, enabled = true) {
  return useInfiniteQuery({
    queryKey: ["clips", filter],
    enabled,
    initialPageParam: "",
    queryFn: ({ pageParam }) => need(api.clips({ limit: 60, ...filter, cursor: pageParam })),
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.items.some(isMoving)) ? 5_000 : 30_000,
    placeholderData: (previous) => previous,
  });
}

/** `link` is what opens a clip that is "link only" to those without the key. */
export function useClip(id: string | undefined, link?: string) {
  return useQuery({
    queryKey: link === undefined ? ["clip", id] : ["clip", id, link],
    enabled: id !== undefined,
    queryFn: () => need(api.clip(id ?? "", link)),
  });
}

/** The page of a clip for others: where it is not for all, with a link that opens it. */
export async function pageFor(clip: Clip, mayWrite: boolean): Promise<string> {
  if (clip.visibility !== "link" || !mayWrite) return clip.watch;
  return (await need(api.linkTo(clip.id))).page;
}

/** Not yet at rest: its state is going to change. */
export function isMoving(clip: Clip): boolean {
  return clip.state !== "stored" && clip.state !== "failed";
}

type ClipPages = InfiniteData<Page<Clip>>;

/** Puts a clip that the server announced into every list it belongs to. */
export function placeClip(queries: QueryClient, clip: Clip): void {
  if (hidden.has(clip.id)) return;
  queries.setQueryData(["clip", clip.id], clip);
  for (const [key, data] of queries.getQueriesData<ClipPages>({ queryKey: ["clips"] })) {
    const filter = (key[1] ?? {}) as ClipFilter;
    if (data === undefined) continue;
    queries.setQueryData<ClipPages>(key, belongs(clip, filter) ? place(data, clip) : drop(data, clip.id));
  }
}

// Clips whose deletion can still be undone: hidden at once, whatever a refetch or an announcement brings.
let hidden: ReadonlySet<string> = new Set();
const hiddenListeners = new Set<() => void>();

function setHidden(next: Set<string>): void {
  hidden = next;
  for (const listener of hiddenListeners) listener();
}

export function hideClip(id: string): void {
  setHidden(new Set([...hidden, id]));
}

export function unhideClip(id: string): void {
  setHidden(new Set([...hidden].filter((other) => other !== id)));
}

export function useHiddenClips(): ReadonlySet<string> {
  return useSyncExternalStore(
    (listener) => {
      hiddenListeners.add(listener);
      return () => hiddenListeners.delete(listener);
    },
    () => hidden,
  );
}

/** Has a clip that could not be stored tried now. */
export async function retryClip(queries: QueryClient, id: string): Promise<Result<Clip>> {
  const result = await api.retryClip(id);
  void queries.invalidateQueries({ queryKey: ["clips"] });
  return result;
}

/** Deletes for good; the clip stays hidden when it worked and is shown again when it did not. */
export async function deleteClip(queries: QueryClient, id: string): Promise<Result<void>> {
  const result = await api.deleteClip(id);
  if (!result.ok && result.error.code !== "not_found") unhideClip(id);
  void queries.invalidateQueries({ queryKey: ["clips"] });
  return result;
}

export function belongs(clip: Clip, filter: ClipFilter): boolean {
  const is = <T>(wanted: T | undefined, value: T) => wanted === undefined || wanted === value;
  const text = `${clip.title}\n${clip.description}\n${clip.tags.join("\n")}`.toLowerCase();
  return (
    is(filter.channel, clip.channel) &&
    is(filter.broadcast, clip.broadcast) &&
    (filter.text === undefined || text.includes(filter.text.toLowerCase())) &&
    is(filter.kind, clip.kind) &&
    is(filter.visibility, clip.visibility) &&
    is(filter.pinned, clip.pinned) &&
    (filter.tag === undefined || clip.tags.includes(filter.tag)) &&
    (filter.from === undefined || clip.startedAt >= filter.from) &&
    (filter.to === undefined || clip.startedAt < filter.to) &&
    (filter.trouble === undefined || has(clip, filter.trouble)) &&
    (filter.state === undefined || (filter.state === "failed" ? clip.state === "failed" : isMoving(clip)))
  );
}

function has({ health, lostMs, cause }: Clip, trouble: NonNullable<ClipFilter["trouble"]>): boolean {
  const found = {
    silent: (health?.silentMs ?? 0) > 0,
    black: (health?.blackMs ?? 0) > 0,
    frozen: (health?.frozenMs ?? 0) > 0,
    gaps: lostMs > 0,
    recovered: cause === "recovered",
  };
  return found[trouble];
}

/** Without a clip that does not belong there any more. */
export function drop(data: ClipPages, id: string): ClipPages {
  return {
    ...data,
    pages: data.pages.map((page) => ({ ...page, items: page.items.filter((item) => item.id !== id) })),
  };
}

export function place(data: ClipPages, clip: Clip): ClipPages {
  let known = false;
  const pages = data.pages.map((page) => ({
    ...page,
    items: page.items.map((item) => {
      if (item.id !== clip.id) return item;
      known = true;
      return clip;
    }),
  }));
  const first = pages[0];
  if (!known && first !== undefined) {
    const items = [clip, ...first.items].sort((a, b) => b.startedAt - a.startedAt);
    pages[0] = { ...first, items };
  }
  return { ...data, pages };
}

export function useRenameClip() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: { id: string; title: string; revision: number }) =>
      need(api.editClip(change.id, { title: change.title }, change.revision)),
    onSuccess: (clip) => placeClip(queries, clip),
    onError: () => queries.invalidateQueries({ queryKey: ["clips"] }),
  });
}

/** Follows whether the server can be reached; asks everything again when it is back. */
export function useConnection(): Connection {
  const queries = useQueryClient();
  const now = useSyncExternalStore(connection.subscribe, connection.snapshot);
  const wasAway = useRef(false);
  useEffect(() => {
    if (now.online && wasAway.current) void queries.invalidateQueries();
    wasAway.current = !now.online;
  }, [now.online, queries]);
  return now;
}
