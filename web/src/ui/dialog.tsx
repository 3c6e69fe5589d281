import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { m } from "@/messages";
import { IconButton } from "./button";
import { cn } from "./cn";

/** A sheet that traps and returns focus. On the phone it comes from below. */
export function Dialog({
  open,
  onClose,
  title,
  description,
  wide = false,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: string | undefined;
  wide?: boolean;
  children: ReactNode;
}) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="appear fixed inset-0 z-30 bg-stage/60" />
        <Radix.Content
          tabIndex={-1}
          onOpenAutoFocus={(event) => {
            // A player is for looking at: its first control is not pressed by the next Enter.
            if (!wide || !(event.target instanceof HTMLElement)) return;
            event.preventDefault();
            event.target.focus();
          }}
          {...(description ? {} : { "aria-describedby": undefined })}
          className={cn(
            "rise fixed z-40 flex outline-none max-h-[calc(100dvh-32px)] flex-col overflow-auto bg-raised shadow-float",
            "inset-x-0 bottom-0 mx-auto rounded-t-[14px] tablet:inset-auto tablet:top-1/2 tablet:left-1/2 tablet:-translate-x-1/2 tablet:-translate-y-1/2 tablet:rounded-float",
            wide ? "tablet:w-[min(1040px,calc(100vw-48px))]" : "p-4 tablet:w-[420px]",
          )}
        >
          <header className={cn("flex items-start gap-3", wide ? "py-2.5 pr-2 pl-4" : "pb-2")}>
            <div className="min-w-0 flex-1">
              <Radix.Title className="truncate text-[16px] leading-[22px]">{title}</Radix.Title>
              {description && (
                <Radix.Description className={cn("text-dense text-ink-2", wide && "truncate text-ink-3")}>
                  {description}
                </Radix.Description>
              )}
            </div>
            <Radix.Close asChild>
              <IconButton small label={m.app.close}>
                <X aria-hidden className="size-[18px]" strokeWidth={1.75} />
              </IconButton>
            </Radix.Close>
          </header>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
