import { Link } from "react-router";
import type { ChannelStats, Clip } from "@/api/generated/protocol";
import { m } from "@/messages";
import { cn } from "@/ui/cn";
import { size } from "@/ui/format";

/** The files of this broadcast, one block each, with their states in words under them. */
export function Recording({
  clips,
  stats,
  recording,
  live,
  broadcast,
}: {
  /** Newest first. */
  clips: readonly Clip[];
  stats: ChannelStats | undefined;
  recording: boolean;
  live: boolean;
  broadcast: string;
}) {
  const stored = clips.filter((clip) => clip.state === "stored" || clip.state === "verified").length;
  const failed = clips.filter((clip) => clip.state === "failed").length;
  const moving = clips.length - stored - failed;
  const bytes = clips.reduce((sum, clip) => sum + clip.size, 0);
  const next = clips.reduce((most, clip) => Math.max(most, clip.part + 1), 0) + 1;
  const running = live && stats?.currentClipMs != null;
  const sentences = [
    clips.length === 0
      ? running
        ? m.health.recordingNone
        : ""
      : m.health.recordingSaved(stored, clips.length),
    moving > 0 ? m.health.recordingWaiting(moving) : "",
    failed > 0 ? m.health.recordingFailed(failed) : "",
    running && clips.length > 0 ? m.health.recordingNow(next) : "",
  ];
  return (
    <section className="border-t border-line pt-3" aria-label={m.health.recording}>
      <div className="flex items-baseline justify-between gap-3">
        <h3 className="text-base">{m.health.recording}</h3>
        <span className="num text-dense text-ink-3">
          {recording ? clips.length > 0 && m.health.soFar(size(bytes)) : m.health.recordingOff}
        </span>
      </div>
      {recording && (
        <>
          <ul className="my-[9px] flex h-3 gap-[3px]">
            {clips
              .slice(0, 40)
              .toReversed()
              .map((clip) => (
                <li
                  key={clip.id}
                  title={m.health.clipOf(clip.part + 1, m.clip.state[clip.state])}
                  data-state={clip.state}
                  className={cn(
                    "max-w-12 flex-1 rounded-[2px]",
                    clip.state === "failed"
                      ? "bg-danger"
                      : stored > 0 && isStored(clip)
                        ? "bg-water"
                        : "bg-water/45",
                  )}
                >
                  <span className="sr-only">{m.health.clipOf(clip.part + 1, m.clip.state[clip.state])}</span>
                </li>
              ))}
            {running && <li aria-hidden className="max-w-12 flex-1 rounded-[2px] bg-live-fill" />}
          </ul>
          <p className="num text-caption text-ink-2">{sentences.filter(Boolean).join(" ")}</p>
          {clips.length > 0 && (
            <Link
              to={`/library?broadcast=${broadcast}`}
              className="mt-1.5 inline-block text-dense font-control text-water hover:underline"
            >
              {m.health.openAll}
            </Link>
          )}
        </>
      )}
    </section>
  );
}

function isStored(clip: Clip): boolean {
  return clip.state === "stored" || clip.state === "verified";
}
