import type { ComponentProps } from "react";
import { cn } from "./cn";

const TONES = {
  live: "bg-live-fill text-on-live",
  off: "bg-veil text-stage-ink font-control",
  past: "bg-water-soft text-water-2",
  ok: "bg-ok-soft text-ok",
  warn: "bg-warn-soft text-warn",
  bad: "bg-danger-soft text-danger",
  gold: "bg-kept-soft text-kept",
  plain: "bg-hover text-ink-2",
} as const;

export type Tone = keyof typeof TONES;

/** A state: a word and a tint. The live one has a dot, which does not pulse. */
export function Pill({
  tone,
  large = false,
  className,
  children,
  ...rest
}: ComponentProps<"span"> & { tone: Tone; large?: boolean }) {
  return (
    <span
      className={cn(
        "inline-flex shrink-0 items-center gap-1.5 rounded-picture font-heading whitespace-nowrap num",
        large ? "h-7 px-[11px] text-base" : "h-[22px] px-2 text-caption",
        TONES[tone],
        className,
      )}
      {...rest}
    >
      {tone === "live" && <span aria-hidden className="size-[7px] rounded-full bg-current" />}
      {children}
    </span>
  );
}
