import { Check } from "lucide-react";
import { DropdownMenu as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { cn } from "./cn";

type MenuProps = {
  trigger: ReactNode;
  /** Where the list is put; the page's body when absent. What fills the screen shows only what is inside it. */
  within?: HTMLElement | null;
  children: ReactNode;
};

export function Menu({ trigger, within, children }: MenuProps) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal container={within ?? undefined}>
        <Radix.Content
          align="end"
          sideOffset={4}
          collisionPadding={8}
          className="appear z-50 min-w-[168px] rounded-float bg-raised p-1 shadow-float"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function MenuItem({
  icon,
  danger = false,
  href,
  download = false,
  onSelect,
  children,
}: {
  icon: ReactNode;
  danger?: boolean;
  href?: string;
  download?: boolean;
  onSelect?: () => void;
  children: ReactNode;
}) {
  const className = cn(
    "flex h-9 cursor-pointer items-center gap-2.5 rounded-control px-2.5 text-base outline-none select-none max-tablet:h-11",
    "data-highlighted:bg-hover",
    danger ? "text-danger" : "text-ink",
  );
  if (href) {
    return (
      <Radix.Item asChild>
        <a className={className} href={href} download={download}>
          {icon}
          {children}
        </a>
      </Radix.Item>
    );
  }
  return (
    <Radix.Item className={className} onSelect={() => onSelect?.()}>
      {icon}
      {children}
    </Radix.Item>
  );
}

/** One of several; the chosen one has a tick. */
export function MenuChoices<T extends string>({
  chosen,
  choices,
  onChoose,
}: {
  chosen: T;
  choices: readonly { value: T; label: string }[];
  onChoose: (value: T) => void;
}) {
  return (
    <Radix.RadioGroup value={chosen} onValueChange={(value) => onChoose(value as T)}>
      {choices.map(({ value, label }) => (
        <Radix.RadioItem
          key={value}
          value={value}
          className="num flex h-9 cursor-pointer items-center gap-2.5 rounded-control px-2.5 text-base text-ink outline-none select-none data-highlighted:bg-hover max-tablet:h-11"
        >
          <Check
            aria-hidden
            className={cn("size-[15px]", value !== chosen && "invisible")}
            strokeWidth={1.75}
          />
          {label}
        </Radix.RadioItem>
      ))}
    </Radix.RadioGroup>
  );
}
