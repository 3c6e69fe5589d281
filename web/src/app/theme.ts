import { useSyncExternalStore } from "react";

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
    localStorage.setItem("oxbow.theme", theme === "dark" ? "light" : "dark");
    window.dispatchEvent(new Event("oxbow-theme"));
  };
  return [theme, flip];
}
