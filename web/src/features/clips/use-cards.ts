// The library's keys: arrows go from card to card, Space chooses, Ctrl+A all, Delete removes what is chosen.
import { type KeyboardEvent as ReactKeyboardEvent, useEffect, useRef } from "react";
import { useKeys } from "@/ui/hooks";

const CARD = "[data-clip] a[data-card]";

function cards(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>(CARD)];
}

/** The card above or below: of the next row that way, the one whose middle is nearest. */
function beside(from: HTMLElement, all: readonly HTMLElement[], down: boolean): HTMLElement | undefined {
  const here = from.getBoundingClientRect();
  const middle = (rect: DOMRect) => rect.left + rect.width / 2;
  const rows = all
    .map((card) => ({ card, rect: card.getBoundingClientRect() }))
    .filter(({ rect }) => (down ? rect.top > here.top + 4 : rect.top < here.top - 4));
  const tops = rows.map(({ rect }) => rect.top);
  const row = down ? Math.min(...tops) : Math.max(...tops);
  return rows
    .filter(({ rect }) => Math.abs(rect.top - row) < 4)
    .sort((a, b) => Math.abs(middle(a.rect) - middle(here)) - Math.abs(middle(b.rect) - middle(here)))[0]
    ?.card;
}

function move(key: string): void {
  const all = cards();
  const now = all.indexOf(document.activeElement as HTMLElement);
  const here = all[now];
  const places: Record<string, HTMLElement | undefined> = {
    arrowleft: all[Math.max(0, now - 1)],
    arrowright: all[Math.min(all.length - 1, now + 1)],
    arrowup: here ? beside(here, all, false) : all[0],
    arrowdown: here ? beside(here, all, true) : all[0],
    home: all[0],
    end: all[all.length - 1],
  };
  places[key]?.focus();
}

export function useCards(
  commands: { all: () => void; remove: () => void; clear: () => void },
  enabled: boolean,
): void {
  useKeys(
    Object.fromEntries([
      ...["arrowleft", "arrowright", "arrowup", "arrowdown", "home", "end"].map((key) => [
        key,
        () => move(key),
      ]),
      ["delete", commands.remove],
      ["escape", commands.clear],
    ]),
    enabled,
  );
  const latest = useRef(commands);
  latest.current = commands;
  useEffect(() => {
    if (!enabled) return;
    const heard = (event: KeyboardEvent) => {
      const target = event.target instanceof HTMLElement ? event.target : null;
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "a") return;
      if (target?.closest("input:not([type=checkbox]), textarea, select, [role=dialog]")) return;
      event.preventDefault();
      latest.current.all();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [enabled]);
}

/** Space on a card chooses it instead of scrolling. */
export function chooseOnSpace(choose: (range: boolean) => void) {
  return (event: ReactKeyboardEvent) => {
    if (event.key !== " " || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    choose(event.shiftKey);
  };
}
