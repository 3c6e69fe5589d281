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

/** A labelled choice of a few. */
export function Choice<T extends string>({
  label,
  hint,
  value,
  options,
  onChange,
}: {
  label: string;
  hint?: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (next: T) => void;
}) {
  const id = useId();
  const note = `${id}-note`;
  const choose = (typed: string) => {
    const chosen = options.find((option) => option.value === typed);
    if (chosen) onChange(chosen.value);
  };
  return (
    <div>
      <label htmlFor={id} className="mb-[5px] block text-dense font-control">
        {label}
      </label>
      <select
        id={id}
        value={value}
        aria-describedby={hint ? note : undefined}
        onChange={(event) => choose(event.target.value)}
        className={cn(inputClass(), "cursor-pointer pr-2")}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
      {hint && (
        <p id={note} className="mt-[5px] text-caption text-ink-3">
          {hint}
        </p>
      )}
    </div>
  );
}
