import { type ReactNode, useEffect, useState } from "react";
import { m } from "@/messages";
import { Button } from "./button";
import { cn } from "./cn";
import { StillWater } from "./logo";

/** One sentence, one action, and the river without arcs. */
export function Empty({
  title,
  text,
  level = 2,
  children,
}: {
  title: string;
  text: string;
  level?: 1 | 2;
  children?: ReactNode;
}) {
  const Heading = level === 1 ? "h1" : "h2";
  return (
    <div className="mx-auto flex max-w-[460px] flex-col items-center px-4 py-14 text-center">
      <StillWater className="mb-4 w-[220px]" />
      <Heading className="text-page">{title}</Heading>
      <p className="mt-1.5 text-reading text-ink-2">{text}</p>
      {children && <div className="mt-5 flex flex-wrap justify-center gap-2">{children}</div>}
    </div>
  );
}

/** What failed and what is safe, with a way to try again and the cause behind "Details". */
export function Failed({
  text,
  details,
  onAgain,
}: {
  text: string;
  details?: string | undefined;
  onAgain: () => void;
}) {
  return (
    <div role="alert" className="rounded-control border border-line bg-surface p-4">
      <p className="text-reading">{text}</p>
      <div className="mt-3 flex flex-wrap items-center gap-3">
        <Button size="dense" onClick={onAgain}>
          {m.app.tryAgain}
        </Button>
        {details && (
          <details className="text-caption text-ink-3">
            <summary className="cursor-pointer">{m.app.details}</summary>
            <span className="font-mono [overflow-wrap:anywhere]">{details}</span>
          </details>
        )}
      </div>
    </div>
  );
}

/** A flat block of the final size; not there for the first 150 ms. */
export function Block({ className }: { className?: string }) {
  return <span aria-hidden className={cn("block-later block rounded-picture bg-hover", className)} />;
}

/** Says what is slow once loading has taken over four seconds. */
export function Slow() {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), 4_000);
    return () => clearTimeout(timer);
  }, []);
  return (
    <p role="status" className="text-dense text-ink-3">
      {slow ? m.app.slow : ""}
    </p>
  );
}
