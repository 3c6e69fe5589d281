import { describe, expect, test } from "vitest";
import type { Webhook } from "@/api/generated/protocol";
import { host, names, scope } from "./words";

const webhook: Webhook = {
  id: "1",
  url: "https://hooks.example/a/b?token=c",
  description: "",
  types: [],
  channels: [],
  state: "active",
  createdAt: 0,
  oldSecretUntil: null,
  waiting: 0,
  oldestWaitingAt: null,
  last: null,
};

describe("webhooks in words", () => {
  test("are known by their host, without what may be a secret", () => {
    expect(host(webhook.url)).toBe("hooks.example");
    expect(host("no address")).toBe("no address");
  });

  test("say what they are told of", () => {
    expect(scope(webhook)).toBe("Everything");
    expect(scope({ ...webhook, types: ["clip.ready"], channels: ["main", "side"] })).toBe(
      "1\u2009type · only @main, @side",
    );
  });

  test("take names of channels as people type them", () => {
    expect(names(" @main, side\nmain ,, ")).toEqual(["main", "side"]);
    expect(names("  ")).toEqual([]);
  });
});
