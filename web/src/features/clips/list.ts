// Clips as lists: what is hidden, which are new, and how they group by broadcast.
import { useEffect, useMemo, useRef, useState } from "react";
import type { Broadcast, Clip } from "@/api/generated/protocol";
import { useHiddenClips } from "@/api/queries";

type Pages = { pages: { items: Clip[] }[] } | undefined;

/** All loaded clips, newest first, each once, without those whose deletion can still be undone. */
export function useClipList(data: Pages): Clip[] {
  const hidden = useHiddenClips();
  return useMemo(() => {
    const seen = new Set<string>();
    return (data?.pages ?? [])
      .flatMap((page) => page.items)
      .filter((clip) => !hidden.has(clip.id) && !seen.has(clip.id) && seen.add(clip.id));
  }, [data, hidden]);
}

/** Ids of clips that came after the list was first there. */
export function useFresh(clips: readonly Clip[], loaded: boolean): ReadonlySet<string> {
  const known = useRef<Set<string> | null>(null);
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    if (!loaded) return;
    const before = known.current;
    known.current = new Set(clips.map((clip) => clip.id));
    if (before === null) return;
    const added = clips.filter((clip) => !before.has(clip.id)).map((clip) => clip.id);
    if (added.length > 0) setFresh(new Set(added));
  }, [clips, loaded]);
  return fresh;
}

export type Group = {
  id: string;
  channel: string;
  title: string;
  startedAt: number;
  durationMs: number;
  live: boolean;
  clips: Clip[];
};

/** Clips of one broadcast together, in the order in which the newest clip of each comes. */
export function groupByBroadcast(
  clips: readonly Clip[],
  broadcasts: readonly Broadcast[],
  now: number,
): Group[] {
  const known = new Map(broadcasts.map((broadcast) => [broadcast.id, broadcast]));
  const groups = new Map<string, Group>();
  for (const clip of clips) {
    const broadcast = known.get(clip.broadcast);
    let group = groups.get(clip.broadcast);
    if (!group) {
      group = {
        id: clip.broadcast,
        channel: clip.channel,
        title: broadcast?.title || `@${clip.channel}`,
        startedAt: broadcast?.startedAt ?? clip.startedAt,
        durationMs: broadcast?.live ? now - broadcast.startedAt : (broadcast?.durationMs ?? 0),
        live: broadcast?.live ?? false,
        clips: [],
      };
      groups.set(clip.broadcast, group);
    }
    group.clips.push(clip);
  }
  for (const group of groups.values()) {
    // Without the broadcast's row (the database may be away) its clips tell when it was.
    if (!known.has(group.id)) group.startedAt = Math.min(...group.clips.map((clip) => clip.startedAt));
    const end = Math.max(...group.clips.map((clip) => clip.startedAt + clip.durationMs));
    group.durationMs = Math.max(group.durationMs, end - group.startedAt);
  }
  return [...groups.values()];
}

/** A file of nearly all of a broadcast is no place on it. */
const WHOLE = 0.9;

/** Clips as a river needs them; one that was made of several pieces is at each of them. */
export function onRiver(clips: readonly Clip[], startedAt: number, durationMs = Number.POSITIVE_INFINITY) {
  return clips.flatMap((clip) => {
    const own = { fromMs: clip.startedAt - startedAt, toMs: clip.startedAt - startedAt + clip.durationMs };
    const pieces = clip.recipe?.pieces.filter((piece) => piece.broadcast === clip.broadcast) ?? [];
    return (pieces.length > 0 ? pieces : [own])
      .map(({ fromMs, toMs }) => ({
        id: clip.id,
        title: clip.title,
        startMs: Math.max(0, fromMs),
        endMs: Math.max(0, Math.min(toMs ?? durationMs, durationMs)),
      }))
      .filter(({ startMs, endMs }) => clip.kind !== "made" || endMs - startMs < durationMs * WHOLE);
  });
}

/** Where the recording rolled over by itself. */
export function rollovers(clips: readonly Clip[], startedAt: number): number[] {
  return clips
    .filter((clip) => clip.cause === "length" || clip.cause === "size")
    .map((clip) => clip.startedAt - startedAt + clip.durationMs);
}
