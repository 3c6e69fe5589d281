import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { m } from "@/messages";
import { IconButton } from "./button";

/** A form over the lower right of a picture that goes on; on the phone it comes from below. It traps and returns focus. */
export function Sheet({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Radix.Root open onOpenChange={(next) => !next && onClose()}>
      <Radix.Content
        aria-describedby={undefined}
        // What is behind it goes on: only a press on the picture closes it, not one on a notice.
        onPointerDownOutside={(event) => event.preventDefault()}
        className="rise absolute right-3 bottom-3 z-30 w-[min(420px,calc(100%-24px))] rounded-float bg-raised p-4 text-ink shadow-float outline-none max-tablet:fixed max-tablet:inset-x-0 max-tablet:bottom-0 max-tablet:z-40 max-tablet:w-full max-tablet:rounded-t-[14px] max-tablet:rounded-b-none"
      >
        <header className="mb-2 flex items-center gap-3">
          <Radix.Title className="flex-1 text-[16px] leading-[22px]">{title}</Radix.Title>
          <Radix.Close asChild>
            <IconButton small label={m.app.close}>
              <X aria-hidden className="size-[18px]" strokeWidth={1.75} />
            </IconButton>
          </Radix.Close>
        </header>
        {children}
      </Radix.Content>
    </Radix.Root>
  );
}
