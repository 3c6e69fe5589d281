// What the editor of one clip asks for: its place in the broadcast, its pictures and sound, and the clips that are made of it.
import { useQuery } from "@tanstack/react-query";
import { api } from "./client";
import { call, type Result } from "./http";
import { RequestError } from "./queries";

/** A clip that is being made is asked for this often, others seldom. */
const MAKING_MS = 500;
const PICTURES_MS = 3_000;
/** Clips that have none by then were made by an older server. */
const PICTURES_WITHIN_MS = 300_000;

async function need<T>(result: Promise<Result<T>>): Promise<T> {
  const settled = await result;
  if (!settled.ok) throw new RequestError(settled.error);
  return settled.value;
}

/** The clip as the editor opens it; asked again and again while it is being made. */
export function useEdited(id: string) {
  return useQuery({
    queryKey: ["edited", id],
    queryFn: () => need(api.clip(id)),
    // Until its file is there, and then until its pictures and its waveform are.
    refetchInterval: ({ state: { data } }) => {
      if (data?.state === "exporting") return MAKING_MS;
      const bare = data && data.waveform === null && data.storyboard === null;
      return bare && Date.now() - data.createdAt < PICTURES_WITHIN_MS ? PICTURES_MS : false;
    },
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
}

/** Where the clip lies in its broadcast and how far that is kept. Grows while the recording goes on. */
export function useTimeline(id: string, enabled: boolean) {
  return useQuery({
    queryKey: ["timeline", id],
    enabled,
    queryFn: () => need(api.timeline(id)),
    refetchInterval: 15_000,
    retry: false,
  });
}

/** The index of the storyboard, and the address it came from: what it names is relative to that. */
export function useStoryboard(address: string | null) {
  return useQuery({
    queryKey: ["storyboard", address],
    enabled: address !== null,
    queryFn: async () => ({
      text: await textOf(address ?? ""),
      address: new URL(address ?? "", location.href).href,
    }),
    staleTime: Number.POSITIVE_INFINITY,
    retry: 1,
  });
}

/** As audiowaveform writes it, version 2: a least and a most for each channel, pixel after pixel. */
export type Waveform = {
  channels: number;
  sample_rate: number;
  samples_per_pixel: number;
  bits: 8 | 16;
  data: number[];
};

export function useWaveform(address: string | null) {
  return useQuery({
    queryKey: ["waveform", address],
    enabled: address !== null,
    queryFn: () => need(call<Waveform>(address ?? "")),
    staleTime: Number.POSITIVE_INFINITY,
    retry: 1,
  });
}

async function textOf(address: string): Promise<string> {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}
