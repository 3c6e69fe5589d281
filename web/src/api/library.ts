// Many clips at once: change, delete, merge; and what a list would be without one of its filters.
import { type QueryClient, useQueries } from "@tanstack/react-query";
import { api, type ClipFilter } from "./client";
import type { BulkChange, BulkDone, Clip } from "./generated/protocol";
import type { Result } from "./http";
import { placeClip, RequestError, unhideClip } from "./queries";

/** Most of one request. */
const AT_ONCE = 100;

export type Bulk = BulkChange;

async function eachHundred(change: BulkChange): Promise<{ done: BulkDone[]; failed: string[] }> {
  const done: BulkDone[] = [];
  const failed: string[] = [];
  for (let at = 0; at < change.ids.length; at += AT_ONCE) {
    const ids = change.ids.slice(at, at + AT_ONCE);
    const result = await api.bulk({ ...change, ids });
    if (result.ok) done.push(...result.value.items);
    else failed.push(...ids.map(() => result.error.detail));
  }
  return { done, failed };
}

/** Changes all of them. What failed is told by its reasons. */
export async function bulkClips(
  queries: QueryClient,
  change: BulkChange,
): Promise<{ changed: number; failed: string[] }> {
  const { done, failed } = await eachHundred(change);
  for (const one of done) {
    if (one.clip) placeClip(queries, one.clip);
    if (one.problem) failed.push(one.problem.detail);
  }
  void queries.invalidateQueries({ queryKey: ["clips"] });
  return { changed: change.ids.length - failed.length, failed };
}

/** Deletes for good. The ids of those that are still there, which are shown again. */
export async function deleteClips(queries: QueryClient, ids: readonly string[]): Promise<string[]> {
  const { done } = await eachHundred({ ids: [...ids], delete: true });
  const gone = new Set(
    done.filter((one) => one.problem === null || one.problem.code === "not_found").map((one) => one.id),
  );
  const left = ids.filter((id) => !gone.has(id));
  for (const id of left) unhideClip(id);
  void queries.invalidateQueries({ queryKey: ["clips"] });
  return left;
}

/** One clip of several, in this order. */
export function mergeClips(clips: readonly Clip[], title: string): Promise<Result<Clip>> {
  return api.makeClip({ title, pieces: clips.map((clip) => ({ clip: clip.id })) });
}

/** For each of several filters, whether there are clips. */
export function useWithout(filters: readonly ClipFilter[]): boolean[] {
  return useQueries({
    queries: filters.map((filter) => ({
      queryKey: ["clips-without", filter],
      queryFn: async () => {
        const result = await api.clips({ ...filter, limit: 1 });
        if (!result.ok) throw new RequestError(result.error);
        return result.value.items.length > 0;
      },
    })),
  }).map((query) => query.data ?? false);
}
