import { DropdownMenu as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { cn } from "./cn";

export function Menu({ trigger, children }: { trigger: ReactNode; children: ReactNode }) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
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
