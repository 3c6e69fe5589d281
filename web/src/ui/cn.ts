import { type ClassValue, clsx } from "clsx";
import { extendTailwindMerge } from "tailwind-merge";

// Our own type sizes must not be taken for colours when classes are merged.
const merge = extendTailwindMerge({
  extend: {
    classGroups: {
      "font-size": [{ text: ["caption", "dense", "base", "reading", "title", "page", "show"] }],
      "font-weight": [{ font: ["text", "control", "heading"] }],
      rounded: [{ rounded: ["picture", "control", "float"] }],
    },
  },
});

/** Joins class names; the later of two that set the same thing wins. */
export function cn(...classes: ClassValue[]): string {
  return merge(clsx(classes));
}
