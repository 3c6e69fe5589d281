import { Pin } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Broadcast, Clip } from "@/api/generated/protocol";
import { m } from "@/messages";
import { ago, length, size } from "@/ui/format";
import { Pill } from "@/ui/pill";
import { Provenance } from "@/ui/river";
import { Corner, Still } from "@/ui/still";
import { SelectBox } from "./select-box";
import { TroublePills } from "./trouble-pills";
import { chooseOnSpace } from "./use-cards";
import { hasPicture, how, stateOf } from "./words";

/** A clip: bent still, where it was cut, title, when and why, and in the library its state. */
export function ClipCard({
  clip,
  span,
  now,
  fresh = false,
  brief = false,
  withChannel = false,
  link,
  eager = false,
  actions,
  choice,
}: {
  clip: Clip;
  /** The broadcast it was cut from, when it is known. */
  span?: Pick<Broadcast, "startedAt" | "durationMs"> | undefined;
  now: number;
  /** It has just been saved: its arc lifts off. */
  fresh?: boolean;
  /** Without state and size, for pages that are not about files. */
  brief?: boolean;
  withChannel?: boolean;
  /** Where the card leads, with what the target needs to know. */
  link: { to: string; state?: unknown };
  eager?: boolean;
  actions?: ReactNode;
  /** Where clips can be chosen: whether this one is. */
  choice?: { on: boolean; onToggle: (range: boolean) => void } | undefined;
}) {
  const state = stateOf(clip);
  return (
    <article className="group relative min-w-0" data-clip={clip.id} data-state={clip.state}>
      {choice && <SelectBox title={clip.title} {...choice} />}
      <Link
        to={link.to}
        state={link.state}
        data-card
        {...(choice && { onKeyDown: chooseOnSpace(choice.onToggle) })}
        className="block rounded-picture"
      >
        <Still
          className={choice?.on ? "outline-2 outline-offset-2 outline-water" : ""}
          kind="clip"
          src={clip.poster}
          sound={!hasPicture(clip)}
          eager={eager}
          dimmed={clip.state === "failed"}
        >
          <Corner at="br">
            <Pill tone="off">{length(clip.durationMs)}</Pill>
          </Corner>
        </Still>
        {span && (
          <Provenance
            durationMs={span.durationMs}
            startMs={clip.startedAt - span.startedAt}
            endMs={clip.startedAt - span.startedAt + clip.durationMs}
            lift={fresh}
          />
        )}
        <h3 className="mt-2 truncate text-base leading-[19px] font-control tracking-[-0.004em] group-hover:underline">
          <span className="sr-only">{m.clip.play("")}</span>
          {clip.title}
        </h3>
      </Link>
      <p className="num mt-0.5 truncate text-caption text-ink-3">
        {withChannel && `@${clip.channel} · `}
        {ago(clip.startedAt + clip.durationMs, now)} · {how(clip)}
      </p>
      {!brief && (
        <div className="mt-1.5 grid min-h-[28px] grid-cols-[minmax(0,1fr)_auto] items-start gap-1.5">
          <div className="flex flex-wrap items-center gap-x-1.5 gap-y-1 pt-[3px]">
            <Pill tone={state.tone} title={clip.error ?? undefined}>
              {state.word}
            </Pill>
            <TroublePills clip={clip} />
            {clip.visibility !== "hidden" && (
              <Pill tone={clip.visibility === "published" ? "ok" : "past"}>
                {m.library.visibility[clip.visibility]}
              </Pill>
            )}
            {clip.pinned && (
              <Pin
                role="img"
                aria-label={m.library.pinned}
                className="size-[15px] text-ink-2"
                strokeWidth={1.75}
              />
            )}
            <span className="num text-caption whitespace-nowrap text-ink-3">{size(clip.size)}</span>
          </div>
          {actions}
        </div>
      )}
    </article>
  );
}

/** Room for five on a wide page, two on a phone. */
export function ClipGrid({ children }: { children: ReactNode }) {
  return (
    <div className="grid grid-cols-2 gap-x-3 gap-y-4 tablet:grid-cols-3 tablet:gap-x-4 tablet:gap-y-[18px] laptop:grid-cols-4 wide:grid-cols-5 huge:grid-cols-7">
      {children}
    </div>
  );
}
