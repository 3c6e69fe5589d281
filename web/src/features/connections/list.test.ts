import { expect, it } from "vitest";
import type { Connection } from "@/api/generated/protocol";
import { matching } from "./list";

const one = (part: Partial<Connection>): Connection => ({
  session: "s0-1",
  channel: "main",
  role: "viewer",
  state: "connected",
  openedAt: 0,
  pathMs: null,
  connectedMs: null,
  firstPacketMs: null,
  firstKeyframeMs: null,
  closedMs: null,
  closeReason: null,
  srtpProfile: null,
  address: "192.0.2.7:4000",
  addresses: ["192.0.2.7:4000"],
  estimate: null,
  sources: [],
  packetsIn: 0,
  packetsOut: 0,
  drops: {},
  ...part,
});

it("finds connections by channel, session, role, state, address and reason, in any case", () => {
  const all = [
    one({}),
    one({ session: "s0-2", channel: "night", role: "publisher", addresses: ["[2001:db8::1]:5"] }),
    one({ session: "s0-3", state: "closed", closeReason: "consent-lost" }),
  ];
  const found = (text: string) => matching(all, text).map(({ session }) => session);
  expect(found(" ")).toEqual(["s0-1", "s0-2", "s0-3"]);
  expect(found("Night")).toEqual(["s0-2"]);
  expect(found("publisher")).toEqual(["s0-2"]);
  expect(found("2001:DB8")).toEqual(["s0-2"]);
  expect(found("consent")).toEqual(["s0-3"]);
  expect(found("192.0.2.7")).toEqual(["s0-1", "s0-3"]);
  expect(found("nothing like it")).toEqual([]);
});
