import { QueryClient } from "@tanstack/react-query";
import { expect, it } from "vitest";
import type { ClipFilter } from "./client";
import type { Clip, Page } from "./generated/protocol";
import { belongs, hideClip, place, placeClip, unhideClip } from "./queries";

const clip = (id: string, part: Partial<Clip> = {}): Clip => ({
  id,
  broadcast: "b1",
  channel: "main",
  part: 0,
  title: "First light",
  cause: "length",
  startedAt: 1_000,
  durationMs: 5_000,
  mime: "video/mp4",
  video: "h264",
  audio: "opus",
  width: 1280,
  height: 720,
  size: 1,
  sha256: "",
  state: "queued",
  error: null,
  lostMs: 0,
  continuity: null,
  createdAt: 6_000,
  revision: 1,
  media: "",
  poster: null,
  watch: `/c/${id}`,
  kind: "part",
  description: "",
  tags: [],
  links: [],
  visibility: "published",
  publishedAt: 6_000,
  pinned: false,
  fromMs: 0,
  toMs: 5_000,
  recipe: null,
  health: null,
  posters: [],
  storyboard: null,
  waveform: null,
  ...part,
});

const pages = (...items: Clip[]) => ({ pages: [{ items, next: null }] as Page<Clip>[], pageParams: [""] });

it("an announced clip belongs to the lists whose filter it meets", () => {
  expect(belongs(clip("a"), {})).toBe(true);
  expect(belongs(clip("a"), { broadcast: "b2" })).toBe(false);
  expect(belongs(clip("a"), { channel: "main", text: "LIGHT" })).toBe(true);
  expect(belongs(clip("a"), { text: "dark" })).toBe(false);
  const made = clip("a", { kind: "made", tags: ["dark", "drums"], visibility: "link", lostMs: 5 });
  expect(
    belongs(made, { text: "DARK", tag: "drums", kind: "made", visibility: "link", trouble: "gaps" }),
  ).toBe(true);
  const others: ClipFilter[] = [
    { tag: "dru" },
    { kind: "part" },
    { visibility: "published" },
    { pinned: true },
    { trouble: "silent" },
    { from: 1_001 },
    { to: 1_000 },
    { state: "failed" },
  ];
  for (const other of others) expect(belongs(made, other), JSON.stringify(other)).toBe(false);
  expect(belongs(made, { from: 1_000, to: 1_001, state: "waiting" })).toBe(true);
});

it("a new clip comes first, a known one keeps its place", () => {
  const before = pages(clip("b", { startedAt: 2_000 }), clip("a"));
  const added = place(before, clip("c", { startedAt: 3_000 }));
  expect(added.pages[0]?.items.map((item) => item.id)).toEqual(["c", "b", "a"]);
  const changed = place(added, clip("a", { state: "stored" }));
  expect(changed.pages[0]?.items.map((item) => [item.id, item.state])).toEqual([
    ["c", "queued"],
    ["b", "queued"],
    ["a", "stored"],
  ]);
});

it("a clip that was changed leaves the lists whose filter it no longer meets", () => {
  const queries = new QueryClient();
  const hidden = ["clips", { visibility: "hidden" }];
  queries.setQueryData(hidden, pages(clip("b"), clip("a")));
  placeClip(queries, clip("a", { visibility: "published" }));
  expect(
    queries.getQueryData<ReturnType<typeof pages>>(hidden)?.pages[0]?.items.map((one) => one.id),
  ).toEqual(["b"]);
});

it("a clip whose deletion can still be undone is not brought back by an announcement", () => {
  const queries = new QueryClient();
  queries.setQueryData(["clips", {}], pages(clip("a")));
  hideClip("a");
  placeClip(queries, clip("a", { state: "stored" }));
  expect(queries.getQueryData<ReturnType<typeof pages>>(["clips", {}])?.pages[0]?.items[0]?.state).toBe(
    "queued",
  );
  unhideClip("a");
  placeClip(queries, clip("a", { state: "stored" }));
  expect(queries.getQueryData<ReturnType<typeof pages>>(["clips", {}])?.pages[0]?.items[0]?.state).toBe(
    "stored",
  );
});
