import { AudioLines } from "lucide-react";
import { type ReactNode, useState } from "react";
import { cn } from "./cn";
import { StillWater } from "./logo";

/** A 16:9 picture. Shape says the kind: a broadcast has straight corners, a clip one big bend. Black is never shown. */
export function Still({
  kind,
  src,
  sound = false,
  alt = "",
  live = false,
  eager = false,
  dimmed = false,
  className,
  children,
}: {
  kind: "broadcast" | "clip";
  src: string | null | undefined;
  /** There is no picture because there is only sound. */
  sound?: boolean;
  alt?: string;
  live?: boolean;
  eager?: boolean;
  dimmed?: boolean;
  className?: string;
  children?: ReactNode;
}) {
  const [failed, setFailed] = useState<string | null>(null);
  const shown = src && failed !== src ? src : null;
  return (
    <span
      className={cn(
        "relative block aspect-video overflow-hidden bg-stage",
        kind === "clip" ? "bend" : "rounded-picture",
        className,
      )}
    >
      {shown ? (
        <img
          src={shown}
          alt={alt}
          loading={eager ? "eager" : "lazy"}
          decoding="async"
          onError={() => setFailed(shown)}
          className={cn("size-full object-cover", dimmed && "brightness-50 saturate-50")}
        />
      ) : (
        <span className="grid size-full place-items-center text-stage-ink-2">
          {sound ? (
            <AudioLines aria-hidden className="size-8 text-stage-water" strokeWidth={1.75} />
          ) : (
            <StillWater className="w-1/2 [&>path]:stroke-stage-water" />
          )}
        </span>
      )}
      {children}
      {live && <span aria-hidden className="absolute inset-x-0 bottom-0 h-[3px] bg-live-fill" />}
    </span>
  );
}

const CORNERS = {
  tl: "left-2 top-2",
  tr: "right-2 top-2",
  bl: "left-2 bottom-2",
  br: "right-2 bottom-2",
} as const;

export function Corner({
  at,
  children,
  className,
}: {
  at: keyof typeof CORNERS;
  children: ReactNode;
  className?: string;
}) {
  return <span className={cn("absolute flex gap-[5px]", CORNERS[at], className)}>{children}</span>;
}
