import { expect, it } from "vitest";
import type { Broadcast, Clip } from "@/api/generated/protocol";
import { groupByBroadcast, onRiver, rollovers } from "./list";

const clip = (id: string, broadcast: string, startedAt: number, cause = "length") =>
  ({ id, broadcast, channel: "main", title: id, startedAt, durationMs: 5_000, cause }) as Clip;
const broadcast = (id: string, startedAt: number, live = false): Broadcast => ({
  id,
  channel: "main",
  title: `Evening ${id}`,
  startedAt,
  endedAt: live ? null : startedAt + 60_000,
  durationMs: live ? 0 : 60_000,
  endReason: null,
  live,
});

it("groups follow their newest clip and carry the broadcast's facts", () => {
  const clips = [clip("3", "two", 200_000), clip("2", "one", 10_000), clip("1", "two", 195_000)];
  const groups = groupByBroadcast(clips, [broadcast("two", 190_000, true), broadcast("one", 5_000)], 250_000);
  expect(groups.map((group) => [group.id, group.clips.length, group.live, group.durationMs])).toEqual([
    ["two", 2, true, 60_000],
    ["one", 1, false, 60_000],
  ]);
});

it("a broadcast that is not known is as long as its clips", () => {
  const [group] = groupByBroadcast([clip("2", "x", 20_000), clip("1", "x", 10_000)], [], 0);
  expect(group).toMatchObject({ title: "@main", startedAt: 10_000, durationMs: 15_000, live: false });
});

it("the river counts from the broadcast's start and marks only what rolled over by itself", () => {
  const clips = [clip("1", "x", 10_000), clip("2", "x", 15_000, "request")];
  expect(onRiver(clips, 10_000).map((arc) => [arc.startMs, arc.endMs])).toEqual([
    [0, 5_000],
    [5_000, 10_000],
  ]);
  expect(rollovers(clips, 10_000)).toEqual([5_000]);
});

it("a made clip is at each of its pieces, and a file of all of it nowhere", () => {
  const made = (id: string, pieces: [number, number | null][]) =>
    ({
      ...clip(id, "x", 10_000, "request"),
      kind: "made",
      recipe: { pieces: pieces.map(([fromMs, toMs]) => ({ broadcast: "x", fromMs, toMs })) },
    }) as Clip;
  const clips = [
    made("highlights", [
      [1_000, 3_000],
      [20_000, 25_000],
    ]),
    made("whole", [[0, null]]),
    { ...clip("part", "x", 10_000), durationMs: 60_000 } as Clip,
  ];
  expect(onRiver(clips, 10_000, 60_000).map((arc) => [arc.id, arc.startMs, arc.endMs])).toEqual([
    ["highlights", 1_000, 3_000],
    ["highlights", 20_000, 25_000],
    ["part", 0, 60_000],
  ]);
});
