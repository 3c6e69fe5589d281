// The one thing that is edited: in and out, and what is said about the clip. Undo goes over both. No React.
import type { Autosave, Saved } from "./autosave";
import { type Draft, type Field, same } from "./draft";
import { begin, type History, record, redo, rewrite, undo } from "./history";
import { type Range, sameRange } from "./range";

type Doc = { range: Range; draft: Draft };

export type SheetNow = {
  /** As it is drawn, also in the middle of a gesture. */
  range: Range;
  draft: Draft;
  canUndo: boolean;
  canRedo: boolean;
};

export class Sheet<C extends Saved> {
  #autosave: Autosave<C>;
  #history: History<Doc>;
  #gesture: Range | null = null;
  #now: SheetNow;
  #listeners = new Set<() => void>();
  #clock: () => number;

  constructor(range: Range, autosave: Autosave<C>, clock: () => number = Date.now) {
    this.#autosave = autosave;
    this.#clock = clock;
    this.#history = begin({ range, draft: autosave.snapshot().draft });
    this.#now = this.#read();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    const off = this.#autosave.subscribe(() => this.#heard());
    return () => {
      this.#listeners.delete(listener);
      off();
    };
  };

  snapshot = (): SheetNow => this.#now;

  /** A gesture that goes on is drawn; when it is over it is one step. */
  setRange(range: Range, kind: string, whole = true): void {
    this.#gesture = whole ? null : range;
    if (whole && !sameRange(range, this.#history.now.range)) this.#put({ ...this.#history.now, range }, kind);
    else this.#tell();
  }

  edit(field: Field, patch: Partial<Draft>): void {
    const draft = { ...this.#history.now.draft, ...patch };
    if (!same(draft, this.#history.now.draft)) this.#put({ ...this.#history.now, draft }, field);
  }

  undo(): void {
    this.#go(undo(this.#history));
  }

  redo(): void {
    this.#go(redo(this.#history));
  }

  #put(doc: Doc, kind: string): void {
    this.#go(record(this.#history, doc, kind, this.#clock()));
  }

  #go(history: History<Doc>): void {
    this.#gesture = null;
    this.#history = history;
    this.#autosave.change(history.now.draft);
    this.#tell();
  }

  /** What was taken over from somebody else is not undone by going back to before it. */
  #heard(): void {
    const { draft, taken } = this.#autosave.snapshot();
    if (same(draft, this.#history.now.draft)) return;
    const theirs = Object.fromEntries(taken.map((field) => [field, draft[field]]));
    const history = rewrite(this.#history, (doc) => ({ ...doc, draft: { ...doc.draft, ...theirs } }));
    this.#history = { ...history, now: { ...history.now, draft } };
    this.#tell();
  }

  #read(): SheetNow {
    const { now, past, future } = this.#history;
    return {
      range: this.#gesture ?? now.range,
      draft: now.draft,
      canUndo: past.length > 0,
      canRedo: future.length > 0,
    };
  }

  #tell(): void {
    this.#now = this.#read();
    for (const listener of this.#listeners) listener();
  }
}
