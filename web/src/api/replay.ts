// One broadcast, and whether what was recorded of it can be played by whoever looks at it.
import { useQuery } from "@tanstack/react-query";
import { api } from "./client";
import type { Broadcast } from "./generated/protocol";
import { RequestError } from "./queries";

/** `soon`: its first seconds are not there yet. `unsupported`: of a kind that HLS cannot carry. `closed`: not here, or not for them. */
export type ReplayState = "open" | "soon" | "gone" | "unsupported" | "closed";

export function playlistOf(broadcast: string): string {
  return `/api/broadcasts/${broadcast}/hls/index.m3u8`;
}

/** All of it as one file, made when it is asked for. */
export function fileOf(broadcast: string): string {
  return `/api/broadcasts/${broadcast}/media`;
}

export function useBroadcast(id: string) {
  return useQuery({
    queryKey: ["broadcast", id],
    queryFn: async (): Promise<Broadcast> => {
      const result = await api.broadcast(id);
      if (!result.ok) throw new RequestError(result.error);
      return result.value;
    },
    refetchInterval: (query) => (query.state.data?.live ? 5_000 : false),
  });
}

export function useReplayState(id: string) {
  return useQuery({
    queryKey: ["replay", id],
    queryFn: () => ask(playlistOf(id)),
    refetchInterval: (query) => (query.state.data === "soon" ? 2_000 : false),
    staleTime: 30_000,
    retry: 1,
  });
}

async function ask(address: string): Promise<ReplayState> {
  const answer = await fetch(address, { method: "HEAD", credentials: "same-origin" });
  switch (answer.status) {
    case 200:
      return "open";
    case 410:
      return "gone";
    case 415:
      return "unsupported";
    case 404:
      return answer.headers.has("retry-after") ? "soon" : "closed";
    default:
      throw new Error(`${answer.status}`);
  }
}
