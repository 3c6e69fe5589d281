import { Slot } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "./cn";

const VARIANTS = {
  outline: "border-line bg-raised hover:border-line-2",
  water: "border-transparent bg-water-fill text-on-water hover:opacity-90",
  kept: "border-transparent bg-kept-fill text-on-kept hover:opacity-90",
  live: "border-transparent bg-live-fill text-on-live hover:opacity-90",
  danger: "border-danger/45 text-danger hover:border-danger",
  quiet: "border-transparent hover:bg-hover",
  /** On the dark stage, whatever the theme. */
  stage: "border-stage-line bg-stage-raised text-stage-ink hover:border-stage-ink-2",
} as const;

const SIZES = {
  normal: "h-9 px-[13px] max-tablet:h-10",
  dense: "h-[30px] px-2.5 text-dense max-tablet:h-10",
  large: "h-[52px] px-5 text-reading w-full",
} as const;

type Props = ComponentProps<"button"> & {
  variant?: keyof typeof VARIANTS;
  size?: keyof typeof SIZES;
  /** Gives the look to the one child instead, for example a link. */
  asChild?: boolean;
};

export function Button({ variant = "outline", size = "normal", asChild = false, className, ...rest }: Props) {
  const Tag = asChild ? Slot.Root : "button";
  return (
    <Tag
      {...(asChild ? {} : { type: "button" as const })}
      className={cn(
        "inline-flex shrink-0 items-center justify-center gap-[7px] rounded-control border font-control whitespace-nowrap state-motion",
        "disabled:pointer-events-none disabled:opacity-50",
        VARIANTS[variant],
        SIZES[size],
        className,
      )}
      {...rest}
    />
  );
}

/** A square button with an icon; the label is for screen readers and the tooltip. */
export function IconButton({
  label,
  hint,
  small = false,
  className,
  ...rest
}: ComponentProps<"button"> & { label: string; hint?: string; small?: boolean }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={hint ? `${label} (${hint})` : label}
      className={cn(
        "inline-grid shrink-0 place-items-center rounded-control text-ink-2 state-motion hover:bg-hover hover:text-ink",
        "disabled:pointer-events-none disabled:opacity-50",
        small ? "size-[28px] max-tablet:-mr-2 max-tablet:size-10" : "size-9 max-tablet:size-11",
        className,
      )}
      {...rest}
    />
  );
}
