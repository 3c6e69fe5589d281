// Which clips are chosen, in the order in which the page shows them.

export type Selection = {
  readonly ids: ReadonlySet<string>;
  /** Where a Shift range begins. */
  readonly anchor: string | null;
};

export const NOTHING: Selection = { ids: new Set(), anchor: null };

/** One on or off. With `range`: all from the anchor to it become what the anchor is. */
export function toggle(selection: Selection, id: string, order: readonly string[], range = false): Selection {
  const { anchor, ids } = selection;
  const next = new Set(ids);
  const from = anchor === null ? -1 : order.indexOf(anchor);
  const to = order.indexOf(id);
  if (range && from >= 0 && to >= 0 && anchor !== null) {
    const on = ids.has(anchor);
    for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) {
      if (on) next.add(one);
      else next.delete(one);
    }
    return { ids: next, anchor };
  }
  if (!next.delete(id)) next.add(id);
  return { ids: next, anchor: id };
}

export function all(order: readonly string[]): Selection {
  return { ids: new Set(order), anchor: order[0] ?? null };
}

/** Those that are still on the page. The same selection when nothing has gone. */
export function only(selection: Selection, order: readonly string[]): Selection {
  const there = new Set(order);
  const left = [...selection.ids].filter((id) => there.has(id));
  if (left.length === selection.ids.size) return selection;
  return { ids: new Set(left), anchor: selection.anchor };
}
