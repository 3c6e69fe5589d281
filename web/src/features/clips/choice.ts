// What is chosen of the clips that a page shows, and the keys for it.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Clip } from "@/api/generated/protocol";
import { deleteClips } from "@/api/library";
import { deleteWithUndo } from "./bulk-bar";
import { all, NOTHING, only, toggle } from "./select";
import { useCards } from "./use-cards";

export function useChoice(shown: readonly Clip[], enabled: boolean) {
  const queries = useQueryClient();
  const [selection, setSelection] = useState(NOTHING);
  const order = shown.map((clip) => clip.id);
  const there = only(selection, order);
  const chosen = enabled ? shown.filter((clip) => there.ids.has(clip.id)) : [];
  const clear = () => setSelection(NOTHING);
  return {
    chosen,
    clear,
    of: enabled
      ? (clip: Clip) => ({
          on: there.ids.has(clip.id),
          onToggle: (range: boolean) => setSelection(toggle(there, clip.id, order, range)),
        })
      : undefined,
    /** For `useCards`. */
    commands: {
      all: () => setSelection(all(order)),
      clear,
      remove: () => {
        if (chosen.length === 0) return;
        deleteWithUndo([...there.ids], (ids) => deleteClips(queries, ids));
        clear();
      },
    },
  };
}

/** As [`useChoice`], where arrows go from card to card. */
export function useChoiceByKeys(shown: readonly Clip[], enabled: boolean) {
  const choice = useChoice(shown, enabled);
  useCards(choice.commands, enabled);
  return choice;
}
