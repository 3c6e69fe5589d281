// What this browser keeps for the next visit. Storage may be forbidden; then nothing is kept, and nothing breaks.
import { useState } from "react";

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice holds until the page is left.
  }
}

export function forget(name: string): void {
  try {
    localStorage.removeItem(name);
  } catch {
    // Where nothing is kept, nothing is there to forget.
  }
}

/** A choice that is kept. */
export function useRemembered(name: string, first: string): [string, (next: string) => void] {
  const [value, setValue] = useState(() => recall(name) ?? first);
  return [
    value,
    (next) => {
      setValue(next);
      remember(name, next);
    },
  ];
}
