import { type RefObject, useEffect, useRef, useState } from "react";

/** The time, again every `everyMs` while the component is there. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** The width of an element in pixels, 0 before it is known. */
export function useWidth<T extends Element>(): [RefObject<T | null>, number] {
  const ref = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** The page's title, while the component is there. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title;
  }, [title]);
}

const TYPING = [
  "input:not([type=checkbox], [type=radio], [type=range])",
  "textarea",
  "select",
  "[contenteditable]",
  "[role=menu]",
].join();
const PRESSED = "button, a, input, [role=button], media-play-button, media-mute-button";
const MOVES = /^(arrow.*|home|end|page.*)$/;
const MOVED = "input, media-time-range, media-volume-range";

/** Single-key commands of a page, by lower-case key name. Off while typing, in a menu, and with Ctrl, Alt or Meta. */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>, enabled = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!enabled) return;
    const heard = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
      const target = event.target as HTMLElement | null;
      if (target?.closest(TYPING)) return;
      const key = event.key.toLowerCase();
      // Space on a button is that button's own, as arrows are a slider's.
      if (key === " " && target?.closest(PRESSED)) return;
      if (MOVES.test(key) && target?.closest(MOVED)) return;
      const command = latest.current[key];
      if (!command) return;
      event.preventDefault();
      command(event);
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [enabled]);
}
