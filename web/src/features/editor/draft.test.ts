import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AFTER_MS, type Answer, Autosave, type Door, type Kept, type Saved } from "./autosave";
import { addTags, changes, choose, type Draft, flaws, merge, tidy, tidyTag } from "./draft";
import { Sheet } from "./sheet";

const DRAFT: Draft = { title: "Clip 4", description: "", tags: [], links: [], visibility: "hidden" };

describe("draft", () => {
  it("sends only what was changed, without loose ends", () => {
    const draft: Draft = { ...DRAFT, title: " Kick drops out ", links: [{ title: "", url: " " }] };
    expect(changes(DRAFT, tidy(draft))).toEqual({ title: "Kick drops out" });
    expect(changes(DRAFT, DRAFT)).toEqual({});
  });

  it("tags have the form in which the server keeps them", () => {
    expect(tidyTag("  Grand   Final ")).toBe("grand final");
    expect(addTags(["goal"], "GOAL, Grand Final ,, final")).toEqual(["goal", "grand final", "final"]);
  });

  it("names what the server would refuse", () => {
    const links = (title: string, url: string) => ({ ...DRAFT, links: [{ title, url }] });
    expect(flaws(DRAFT)).toEqual({});
    expect(flaws({ ...DRAFT, title: "  " })).toEqual({ title: "titleMissing" });
    expect(flaws({ ...DRAFT, title: "é".repeat(201) })).toEqual({ title: "titleLong" });
    // An emoji is one character for people and for the server.
    expect(flaws({ ...DRAFT, title: "🥁".repeat(200) })).toEqual({});
    expect(flaws({ ...DRAFT, description: "x".repeat(5_001) })).toEqual({ description: "descriptionLong" });
    expect(flaws({ ...DRAFT, tags: ["x".repeat(41)] })).toEqual({ tags: "tagLong" });
    expect(flaws({ ...DRAFT, tags: Array.from({ length: 21 }, String) })).toEqual({ tags: "tagsMany" });
    expect(flaws(links("More", "https://oxbow.example/a?b#c"))).toEqual({});
    expect(flaws(links("", "https://oxbow.example"))).toEqual({ links: "linkTitle" });
    for (const url of ["", "javascript:alert(1)", "https://", "https://a b", "oxbow.example"])
      expect(flaws(links("More", url)), url).toEqual({ links: "linkUrl" });
  });

  it("changes of two people to different fields go together", () => {
    const mine = { ...DRAFT, title: "Mine" };
    const theirs = { ...DRAFT, tags: ["drums"], visibility: "link" as const };
    const merged = merge(DRAFT, mine, theirs);
    expect(merged.draft).toEqual({ ...DRAFT, title: "Mine", tags: ["drums"], visibility: "link" });
    expect(merged.unsettled).toEqual([]);
    expect(merged.taken).toEqual(["tags", "visibility"]);
  });

  it("what both changed is asked about, unless both wrote the same", () => {
    const mine = { ...DRAFT, title: "Mine", description: "alike" };
    const theirs = { ...DRAFT, title: "Theirs", description: "alike" };
    const merged = merge(DRAFT, mine, theirs);
    expect(merged.unsettled).toEqual(["title"]);
    expect(merged.draft.title).toBe("Mine");
    expect(choose(merged.draft, theirs, { title: "theirs" }).title).toBe("Theirs");
    expect(choose(merged.draft, theirs, { title: "mine" }).title).toBe("Mine");
  });
});

describe("autosave", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  /** A server with one clip. */
  class Server {
    clip: Saved = { ...DRAFT, revision: 3 };
    sent: Partial<Draft>[] = [];
    kept: Kept | null = null;
    away = false;
    refuses = "";
    /** Happens while a request is under way. */
    meanwhile: () => void = () => {};

    open(kept: Kept | null = null): Autosave<Saved> {
      const save = new Autosave<Saved>(this.clip, kept, this.door());
      save.open();
      return save;
    }

    door(): Door<Saved> {
      return {
        send: async (edit, revision) => {
          if (this.away) return this.#unreachable();
          this.meanwhile();
          this.sent.push(edit);
          if (this.refuses)
            return { ok: false, error: { conflict: false, unreachable: false, detail: this.refuses } };
          if (revision !== this.clip.revision)
            return { ok: false, error: { conflict: true, unreachable: false, detail: "changed" } };
          this.edit(edit);
          return { ok: true, value: this.clip };
        },
        load: async () => (this.away ? this.#unreachable() : { ok: true, value: this.clip }),
        keep: (kept) => {
          this.kept = kept;
        },
        onClip: () => {},
        now: () => 1_000,
      };
    }

    edit(edit: Partial<Draft>): void {
      this.clip = { ...this.clip, ...edit, revision: this.clip.revision + 1 };
    }

    #unreachable(): Answer<Saved> {
      return { ok: false, error: { conflict: false, unreachable: true, detail: "no answer" } };
    }
  }

  it("saves once, a moment after the last change, and says so", async () => {
    const server = new Server();
    const save = server.open();
    save.change({ title: "K" });
    await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
    save.change({ title: "Kick" });
    expect(save.snapshot().state.kind).toBe("changed");
    await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
    expect(server.sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(server.sent).toEqual([{ title: "Kick" }]);
    expect(save.snapshot().state).toEqual({ kind: "saved", atMs: 1_000 });
    expect(server.kept).toBeNull();
  });

  it("what is typed while it saves is saved next, on the new revision", async () => {
    const server = new Server();
    const save = server.open();
    save.change({ title: "One" });
    server.meanwhile = () => {
      server.meanwhile = () => {};
      save.change({ title: "Two" });
    };
    await vi.advanceTimersByTimeAsync(AFTER_MS * 3);
    expect(server.sent).toEqual([{ title: "One" }, { title: "Two" }]);
    expect(server.clip).toMatchObject({ title: "Two", revision: 5 });
    expect(save.snapshot().state.kind).toBe("saved");
  });

  it("sends nothing that the server would refuse", async () => {
    const server = new Server();
    const save = server.open();
    save.change({ title: "" });
    await vi.advanceTimersByTimeAsync(AFTER_MS * 2);
    expect(server.sent).toEqual([]);
    expect(save.snapshot().state.kind).toBe("changed");
    save.change({ title: "Clip 4" });
    await vi.advanceTimersByTimeAsync(AFTER_MS * 2);
    expect(server.sent).toEqual([]);
    expect(save.snapshot().state.kind).toBe("saved");
  });

  it("keeps the text while nothing answers and saves it when something does", async () => {
    const server = new Server();
    server.away = true;
    const save = server.open();
    save.change({ description: "The whole drum" });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    expect(save.snapshot().state.kind).toBe("kept");
    expect(server.kept?.draft.description).toBe("The whole drum");
    server.away = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.clip.description).toBe("The whole drum");
    expect(server.kept).toBeNull();
  });

  it("a kept text is saved at the next visit, and meets what was changed since", async () => {
    const server = new Server();
    const kept: Kept = { base: { ...DRAFT, revision: 3 }, draft: { ...DRAFT, description: "kept" } };
    server.edit({ title: "Changed elsewhere" });
    const save = server.open(kept);
    await vi.advanceTimersByTimeAsync(10);
    expect(server.clip).toMatchObject({ title: "Changed elsewhere", description: "kept", revision: 5 });
    expect(save.snapshot()).toMatchObject({ taken: ["title"], state: { kind: "saved" } });
  });

  it("a refusal is said, and the next change is tried again", async () => {
    const server = new Server();
    const save = server.open();
    server.refuses = "a title has no control characters";
    save.change({ title: "One" });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    expect(save.snapshot().state).toEqual({ kind: "refused", detail: "a title has no control characters" });
    expect(server.kept?.draft.title).toBe("One");
    server.refuses = "";
    save.change({ title: "Two" });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    expect(server.clip.title).toBe("Two");
  });

  it("two who changed the same field: nothing is overwritten before somebody chooses", async () => {
    const server = new Server();
    const save = server.open();
    server.edit({ title: "Theirs", tags: ["theirs"] });
    save.change({ title: "Mine", description: "mine" });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    expect(save.snapshot().state).toMatchObject({
      kind: "conflict",
      fields: ["title"],
      theirs: { title: "Theirs" },
    });
    expect(server.clip.title).toBe("Theirs");
    // What is typed meanwhile waits for the choice as well.
    save.change({ description: "mine, longer" });
    await vi.advanceTimersByTimeAsync(AFTER_MS * 2);
    expect(server.clip.description).toBe("");
    const { draft, state } = save.snapshot();
    if (state.kind !== "conflict") throw new Error("no conflict");
    await save.settle(choose(draft, state.theirs, { title: "mine" }));
    expect(server.clip).toMatchObject({ title: "Mine", description: "mine, longer", tags: ["theirs"] });
    expect(save.snapshot().state.kind).toBe("saved");
  });

  it("undo goes over range and text, and not over what somebody else wrote", async () => {
    const server = new Server();
    const save = server.open();
    let now = 0;
    const sheet = new Sheet({ inMs: 0, outMs: 10_000 }, save, () => (now += 5_000));
    const off = sheet.subscribe(() => {});
    sheet.setRange({ inMs: 2_000, outMs: 10_000 }, "in", false);
    expect(sheet.snapshot()).toMatchObject({ range: { inMs: 2_000 }, canUndo: false });
    sheet.setRange({ inMs: 3_000, outMs: 10_000 }, "in");
    sheet.edit("title", { title: "Mine" });
    server.edit({ tags: ["theirs"] });
    await vi.advanceTimersByTimeAsync(AFTER_MS * 2);
    expect(server.clip).toMatchObject({ title: "Mine", tags: ["theirs"] });
    sheet.undo();
    expect(sheet.snapshot()).toMatchObject({
      range: { inMs: 3_000 },
      draft: { title: "Clip 4", tags: ["theirs"] },
    });
    sheet.undo();
    expect(sheet.snapshot()).toMatchObject({ range: { inMs: 0 }, canUndo: false, canRedo: true });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    expect(server.clip).toMatchObject({ title: "Clip 4", tags: ["theirs"] });
    sheet.redo();
    sheet.redo();
    expect(sheet.snapshot()).toMatchObject({
      range: { inMs: 3_000 },
      draft: { title: "Mine" },
      canRedo: false,
    });
    off();
  });

  it("a choice that is late meets a third version as well", async () => {
    const server = new Server();
    const save = server.open();
    server.edit({ title: "Theirs" });
    save.change({ title: "Mine" });
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    server.edit({ title: "A third" });
    await save.settle({ ...save.snapshot().draft, title: "Mine" });
    expect(save.snapshot().state).toMatchObject({
      kind: "conflict",
      fields: ["title"],
      theirs: { title: "A third" },
    });
  });
});
