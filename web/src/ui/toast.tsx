import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { Button, IconButton } from "./button";
import { cn } from "./cn";

type Action = { label: string; run: () => void };

export type Toast = {
  text: string;
  tone?: "plain" | "kept" | "error";
  action?: Action;
  /** Besides the action; it leaves the notice where it is. */
  more?: Action;
  /** When it goes away by itself; not when it is closed by its action. */
  onExpire?: () => void;
};

type Shown = Toast & { id: number };

const SHOWN_MS = 6_000;
const MAX = 3;

let toasts: readonly Shown[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

function set(next: readonly Shown[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Says something at the lower left: six seconds, longer under the pointer or focus, errors until closed. */
export function toast(next: Toast): void {
  lastId += 1;
  const all = [...toasts, { ...next, id: lastId }];
  for (const pushedOut of all.slice(0, -MAX)) pushedOut.onExpire?.();
  set(all.slice(-MAX));
}

function remove(id: number): void {
  set(toasts.filter((other) => other.id !== id));
}

export function Toasts() {
  const now = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <section
      aria-label={m.app.notices}
      aria-live="polite"
      className="pointer-events-none fixed bottom-4 left-4 z-50 flex w-[min(400px,calc(100vw-28px))] flex-col gap-2 max-tablet:bottom-[70px] max-tablet:left-3.5"
    >
      {now.map((entry) => (
        <OneToast key={entry.id} entry={entry} />
      ))}
    </section>
  );
}

function OneToast({ entry }: { entry: Shown }) {
  const [held, setHeld] = useState(false);
  const expire = useRef(entry.onExpire);
  useEffect(() => {
    if (held || entry.tone === "error") return;
    const timer = setTimeout(() => {
      remove(entry.id);
      expire.current?.();
    }, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [held, entry.id, entry.tone]);
  const close = () => {
    remove(entry.id);
    expire.current?.();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only keeps the toast while it is pointed at or focused
    <div
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
      className={cn(
        "rise pointer-events-auto flex items-center gap-2 rounded-float bg-raised py-2 pr-2 pl-3.5 text-dense shadow-float",
        entry.tone === "error" && "text-danger",
      )}
    >
      {entry.tone === "kept" && (
        <span aria-hidden className="mr-1 h-2.5 w-4 rounded-t-full border-2 border-b-0 border-kept-line" />
      )}
      <ToastText>{entry.text}</ToastText>
      {entry.more && (
        <Button size="dense" variant="quiet" className="text-water" onClick={entry.more.run}>
          {entry.more.label}
        </Button>
      )}
      {entry.action && (
        <Button
          size="dense"
          variant="quiet"
          className="text-water"
          onClick={() => {
            remove(entry.id);
            entry.action?.run();
          }}
        >
          {entry.action.label}
        </Button>
      )}
      <IconButton small label={m.app.close} onClick={close}>
        <X aria-hidden className="size-[15px]" strokeWidth={1.75} />
      </IconButton>
    </div>
  );
}

function ToastText({ children }: { children: ReactNode }) {
  return <p className="min-w-0 flex-1 [overflow-wrap:anywhere]">{children}</p>;
}
