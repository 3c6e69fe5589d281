import { type ComponentProps, type ReactNode, useId } from "react";
import { cn } from "./cn";

/** A labelled input with its hint, or in its place the error. */
export function Field({
  label,
  hint,
  error,
  suffix,
  className,
  ...rest
}: ComponentProps<"input"> & {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  suffix?: ReactNode;
}) {
  const id = useId();
  const note = `${id}-note`;
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-[5px] block text-dense font-control">
        {label}
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          aria-invalid={error ? true : undefined}
          aria-describedby={error || hint ? note : undefined}
          className={inputClass(error !== undefined)}
          {...rest}
        />
        {suffix}
      </div>
      {(error || hint) && (
        <p id={note} className={cn("mt-[5px] text-caption", error ? "text-danger" : "text-ink-3")}>
          {error ?? hint}
        </p>
      )}
    </div>
  );
}

export function inputClass(error = false): string {
  return cn(
    "h-9 w-full min-w-0 rounded-control border bg-raised px-[11px] text-ink placeholder:text-ink-3 max-tablet:h-11 max-tablet:text-[16px]",
    error ? "border-danger" : "border-line-2",
  );
}

/** A switch with its words and what it means. */
export function Toggle({
  label,
  hint,
  checked,
  disabled = false,
  onChange,
}: {
  label: string;
  hint?: string;
  checked: boolean;
  disabled?: boolean;
  onChange: (next: boolean) => void;
}) {
  const id = useId();
  return (
    <div className="flex items-start gap-3">
      <button
        type="button"
        role="switch"
        id={id}
        aria-checked={checked}
        aria-labelledby={`${id}-label`}
        aria-describedby={hint ? `${id}-hint` : undefined}
        disabled={disabled}
        onClick={() => onChange(!checked)}
        className="relative mt-px h-6 w-[38px] shrink-0 disabled:opacity-50"
      >
        <span
          className={cn(
            "absolute inset-x-0 top-[2px] h-5 rounded-full state-motion",
            checked ? "bg-water-fill" : "bg-line-2",
          )}
        />
        <span
          className={cn(
            "absolute top-1 left-0 size-4 rounded-full bg-raised transition-transform duration-[120ms]",
            checked ? "translate-x-5" : "translate-x-0.5",
          )}
        />
      </button>
      <div className="min-w-0">
        <label id={`${id}-label`} htmlFor={id} className="block leading-6 font-control">
          {label}
        </label>
        {hint && (
          <p id={`${id}-hint`} className="text-caption text-ink-3">
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}
