import { useSyncExternalStore } from "react";
import { remember } from "@/ui/remember";

export type Theme = "light" | "dark";

function current(): Theme {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

function subscribe(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => observer.disconnect();
}

/** What is shown now, and a way to choose the other; public/theme.js applies it. */
export function useTheme(): [Theme, () => void] {
  const theme = useSyncExternalStore(subscribe, current);
  const flip = () => {
    const next = theme === "dark" ? "light" : "dark";
    remember("oxbow.theme", next);
    // Holds for this page even where nothing can be kept.
    document.documentElement.dataset.theme = next;
  };
  return [theme, flip];
}
