import { Link } from "react-router";
import { RequestError, useClips, useLives } from "@/api/queries";
import { ClipCard, ClipGrid } from "@/features/clips/clip-card";
import { useClipList } from "@/features/clips/list";
import { Board } from "@/features/onair/board";
import { Lead } from "@/features/onair/lead";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { useNow, useTitle } from "@/ui/hooks";
import { Block, Empty, Failed, Slow } from "@/ui/state";

/** Find something on air within a second. */
export function HomePage() {
  useTitle(m.app.title(m.home.title));
  const now = useNow();
  const lives = useLives();
  const clipQuery = useClips({});
  const clips = useClipList(clipQuery.data);
  const onAir = [...(lives.data?.items ?? [])].sort(
    (a, b) => b.viewers - a.viewers || a.startedAt - b.startedAt,
  );
  const [first, ...others] = onAir;
  return (
    <main
      id="content"
      className="mx-auto w-full max-w-[1392px] flex-1 px-3.5 pt-3 pb-10 tablet:px-6 tablet:pt-5"
    >
      {lives.isPending && <Loading />}
      {lives.isError && !lives.data && (
        <Failed text={m.home.failed} details={detailsOf(lives.error)} onAgain={() => void lives.refetch()} />
      )}
      {lives.data && !first && (
        <Empty level={1} title={m.home.emptyTitle} text={m.home.emptyText}>
          <Button asChild variant="water">
            <Link to="/studio">{m.app.goLive}</Link>
          </Button>
        </Empty>
      )}
      {first && (
        <div
          className={
            others.length > 0
              ? "grid gap-5 laptop:grid-cols-[minmax(0,1.62fr)_minmax(0,1fr)] laptop:gap-6"
              : "mx-auto max-w-[1040px]"
          }
        >
          <h1 className="sr-only">{m.home.title}</h1>
          <Lead live={first} clips={clips.filter((clip) => clip.broadcast === first.broadcast)} now={now} />
          {others.length > 0 && <Board lives={others} total={onAir.length} clips={clips} now={now} />}
        </div>
      )}
      {clips.length > 0 && (
        <section className="mt-7">
          <div className="mb-3 flex items-baseline gap-2.5">
            <h2 className="text-[18px] leading-6">{m.home.fresh}</h2>
            <Link to="/library" className="ml-auto text-dense font-control text-water hover:underline">
              {m.home.allClips}
            </Link>
          </div>
          <ClipGrid>
            {clips.slice(0, 10).map((clip) => (
              <ClipCard key={clip.id} clip={clip} now={now} brief withChannel link={{ to: clip.watch }} />
            ))}
          </ClipGrid>
        </section>
      )}
    </main>
  );
}

function detailsOf(error: Error): string {
  return error instanceof RequestError ? `${error.failure.code} ${error.failure.detail}` : error.message;
}

function Loading() {
  return (
    <div className="mx-auto max-w-[1040px]">
      <Block className="aspect-video w-full" />
      <Block className="mt-4 h-6 w-60" />
      <Slow />
    </div>
  );
}
