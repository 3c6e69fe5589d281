import type { ReactNode } from "react";
import { cn } from "./cn";

/** Over the picture, or where one would be: who or what, what happens next, one useful action. */
export function OverPicture({
  line,
  title,
  text,
  className,
  children,
}: {
  line?: ReactNode;
  title: string;
  text?: string | undefined;
  /** What is seen behind it. */
  className?: string;
  children?: ReactNode;
}) {
  return (
    <div
      role="status"
      className={cn(
        "appear absolute inset-0 z-[1] grid place-content-center justify-items-center gap-2.5 overflow-auto px-5 py-3 text-center",
        className,
      )}
    >
      {line && <span className="mb-1.5">{line}</span>}
      <h2 className="max-w-[760px] text-[26px] leading-8 text-balance max-tablet:text-[18px] max-tablet:leading-6">
        {title}
      </h2>
      {text && (
        <p className="max-w-[480px] text-balance text-reading text-stage-ink-2 max-tablet:text-dense">
          {text}
        </p>
      )}
      {children && <div className="mt-1 flex flex-wrap justify-center gap-2">{children}</div>}
    </div>
  );
}
