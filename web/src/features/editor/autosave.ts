// Saves a draft by itself, a moment after the last change, one request at a time. What was not saved is kept in this browser. Two who edit
// the same clip: the server refuses the later one, whose changes are then put together with the other's; only fields that both
// changed are asked about. No React.
import { changes, type Draft, draftOf, type Field, flaws, merge, same, tidy } from "./draft";

export const AFTER_MS = 800;
/** Tried again after this while nothing answers. */
const AGAIN_MS = 5_000;

/** A clip as the server knows it. */
export type Saved = Draft & { revision: number };

export type Refused = { conflict: boolean; unreachable: boolean; detail: string };
export type Answer<T> = { ok: true; value: T } | { ok: false; error: Refused };

export type SaveState =
  /** Nothing to save. */
  | { kind: "saved"; atMs: number | null }
  /** Typed, or wrong in a way that the form names: not sent yet. */
  | { kind: "changed" }
  | { kind: "saving" }
  /** The server cannot be reached; the text is kept here. */
  | { kind: "kept" }
  | { kind: "refused"; detail: string }
  | { kind: "conflict"; fields: readonly Field[]; theirs: Draft };

export type Snapshot = {
  draft: Draft;
  state: SaveState;
  /** Fields that somebody else changed and that were taken over. */
  taken: readonly Field[];
};

/** A draft that was not saved when its page was left, with what it was based on. */
export type Kept = { base: Saved; draft: Draft };

export type Door<C extends Saved> = {
  send: (edit: Partial<Draft>, revision: number) => Promise<Answer<C>>;
  load: () => Promise<Answer<C>>;
  /** Keeps what is not saved for the next visit; null when all is saved. */
  keep: (kept: Kept | null) => void;
  /** The server's clip after it was saved or loaded. */
  onClip: (clip: C) => void;
  now: () => number;
};

export class Autosave<C extends Saved> {
  #door: Door<C>;
  #base: Saved;
  #snapshot: Snapshot;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(clip: Saved, kept: Kept | null, door: Door<C>) {
    this.#door = door;
    // What was kept is saved against the version that it was written on, so that another's change since then is noticed.
    this.#base = kept?.base ?? clip;
    const draft = kept?.draft ?? draftOf(clip);
    this.#snapshot = { draft, state: kept ? { kind: "changed" } : { kind: "saved", atMs: null }, taken: [] };
  }

  /** Saves what was kept from the last visit. */
  open(): void {
    this.#closed = false;
    if (this.#snapshot.state.kind === "changed") this.#later(0);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): Snapshot => this.#snapshot;

  change(patch: Partial<Draft>): void {
    const draft = { ...this.#snapshot.draft, ...patch };
    if (same(draft, this.#snapshot.draft)) return;
    const { state } = this.#snapshot;
    this.#set({ draft, ...(state.kind === "conflict" ? {} : { state: this.#restingState(draft) }) });
    this.#keep();
    if (state.kind !== "conflict") this.#later(AFTER_MS);
  }

  /** Saves now. Resolves when all that could be saved is. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#running) await this.#running;
    if (this.#snapshot.state.kind !== "conflict") await this.#save();
  }

  /** Somebody has chosen: the draft with the choices in it, to be saved on top of the other's version. */
  async settle(draft: Draft): Promise<void> {
    if (this.#snapshot.state.kind !== "conflict") return;
    this.#set({ draft, state: { kind: "changed" } });
    this.#keep();
    await this.flush();
  }

  /** The page is left: what is not saved stays in this browser, and is sent if there is time. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#snapshot.state.kind === "changed" && !this.#running) void this.#save();
    this.#closed = true;
  }

  #unsaved(draft: Draft): Partial<Draft> {
    return changes(draftOf(this.#base), tidy(draft));
  }

  #restingState(draft: Draft): SaveState {
    const clean = Object.keys(this.#unsaved(draft)).length === 0;
    if (!clean || Object.keys(flaws(draft)).length > 0) return { kind: "changed" };
    return this.#snapshot.state.kind === "saved"
      ? this.#snapshot.state
      : { kind: "saved", atMs: this.#door.now() };
  }

  #keep(): void {
    const { draft } = this.#snapshot;
    this.#door.keep(Object.keys(this.#unsaved(draft)).length > 0 ? { base: this.#base, draft } : null);
  }

  #later(waitMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => void this.flush(), waitMs);
  }

  #save(): Promise<void> {
    this.#running ??= this.#send().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #send(): Promise<void> {
    const { draft } = this.#snapshot;
    if (Object.keys(flaws(draft)).length > 0) return;
    const edit = this.#unsaved(draft);
    if (Object.keys(edit).length === 0) {
      this.#set({ state: this.#restingState(draft) });
      return;
    }
    this.#set({ state: { kind: "saving" } });
    const answer = await this.#door.send(edit, this.#base.revision);
    if (answer.ok) this.#took(answer.value, edit);
    else if (answer.error.conflict) await this.#meet(draft);
    else this.#failed(answer.error);
  }

  #took(clip: C, edit: Partial<Draft>): void {
    // What was sent counts as saved however the server writes it, or it would be sent again and again.
    this.#base = { ...draftOf(clip), ...edit, revision: clip.revision };
    this.#door.onClip(clip);
    const more = Object.keys(this.#unsaved(this.#snapshot.draft)).length > 0;
    this.#set({ state: more ? { kind: "changed" } : { kind: "saved", atMs: this.#door.now() } });
    this.#keep();
    // Typed while the request was under way.
    if (more) this.#later(AFTER_MS);
  }

  /** Somebody else saved first. */
  async #meet(sent: Draft): Promise<void> {
    const answer = await this.#door.load();
    if (!answer.ok) return this.#failed(answer.error);
    const theirs = draftOf(answer.value);
    const mine = this.#snapshot.draft;
    const { draft, unsettled, taken } = merge(
      draftOf(this.#base),
      same(mine, sent) ? tidy(mine) : mine,
      theirs,
    );
    this.#base = { ...theirs, revision: answer.value.revision };
    this.#door.onClip(answer.value);
    const conflict = { kind: "conflict" as const, fields: unsettled, theirs };
    this.#set({ draft, taken, state: unsettled.length > 0 ? conflict : { kind: "changed" } });
    this.#keep();
    if (unsettled.length === 0) this.#later(0);
  }

  #failed(error: Refused): void {
    this.#keep();
    this.#set({ state: error.unreachable ? { kind: "kept" } : { kind: "refused", detail: error.detail } });
    if (error.unreachable) this.#later(AGAIN_MS);
  }

  #set(next: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...next };
    for (const listener of this.#listeners) listener();
  }
}
