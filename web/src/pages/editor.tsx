// The editor of one clip: fetches what it shows, waits for a clip that is still being made, and sends what it makes.
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";
import { api } from "@/api/client";
import { useEdited, useStoryboard, useTimeline, useWaveform } from "@/api/editing";
import type { Clip, ClipTimeline, NewClip, NewPiece } from "@/api/generated/protocol";
import type { Result } from "@/api/http";
import { placeClip, RequestError, useBroadcasts, useClips, useSession } from "@/api/queries";
import type { Answer } from "@/features/editor/autosave";
import type { Draft } from "@/features/editor/draft";
import { type Around, type Cut, Editor, type Place } from "@/features/editor/editor";
import { readStoryboard, readWaveform } from "@/features/editor/strips";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { useTitle } from "@/ui/hooks";
import { Block, Empty, Failed, Slow } from "@/ui/state";
import { toast } from "@/ui/toast";

/** Where the editor was opened from; and for a clip that was just made, which clip it was made of. */
type From = { back?: string; original?: string } | null;

export default function EditorPage() {
  const { clip: id = "" } = useParams();
  const from = useLocation().state as From;
  const session = useSession();
  const query = useEdited(id);
  const clip = query.data;
  const ready = clip !== undefined && clip.state !== "exporting" && clip.size > 0;
  const timeline = useTimeline(id, ready);
  useTitle(m.app.title(clip?.title ?? m.editor.title));
  const back = from?.back ?? "/library";

  if (session.isSuccess && !session.data.streamer) {
    return (
      <Plain>
        <Empty level={1} title={m.editor.needKey} text={m.editor.needKeyText}>
          <Button asChild variant="water">
            <Link to="/studio">{m.editor.toStudio}</Link>
          </Button>
        </Empty>
      </Plain>
    );
  }
  if (query.error instanceof RequestError && query.error.failure.status === 404) {
    return (
      <Plain>
        <Empty level={1} title={m.library.gone} text={m.library.goneText}>
          <Button asChild>
            <Link to={back}>{m.editor.back}</Link>
          </Button>
        </Empty>
      </Plain>
    );
  }
  if (query.isError && !clip) {
    return (
      <Plain>
        <Failed text={m.editor.loadFailed} onAgain={() => void query.refetch()} />
      </Plain>
    );
  }
  if (clip && !ready) return <Making clip={clip} back={back} original={from?.original} />;
  if (!clip || timeline.isPending || session.isPending) return <Loading />;
  return <Ready key={clip.id} clip={clip} timeline={timeline.data ?? null} back={back} />;
}

function Plain({ children }: { children: ReactNode }) {
  return (
    <main id="content" className="mx-auto w-full max-w-[720px] flex-1 p-4">
      {children}
    </main>
  );
}

function Loading() {
  return (
    <main id="content" aria-label={m.editor.loading} className="flex flex-1 flex-col gap-3 p-3.5">
      <Block className="h-9 w-72" />
      <Block className="aspect-video w-full laptop:aspect-auto laptop:flex-1" />
      <Block className="h-52 w-full" />
      <Slow />
    </main>
  );
}

/** A clip that was asked for: this page becomes its editor when it is there. */
function Making({ clip, back, original }: { clip: Clip; back: string; original: string | undefined }) {
  const failed = clip.state === "failed";
  return (
    <Plain>
      <div role="status" data-making={clip.state}>
        <Empty
          level={1}
          title={failed ? m.editor.makeFailed : m.editor.making}
          text={failed ? m.editor.makeFailedText(clip.error ?? "") : m.editor.makingText}
        >
          {original && (
            <Button asChild>
              <Link to={`/library/clips/${original}`} state={{ back }}>
                {m.editor.toOriginal}
              </Link>
            </Button>
          )}
          <Button asChild variant="quiet">
            <Link to={back}>{m.editor.back}</Link>
          </Button>
        </Empty>
      </div>
    </Plain>
  );
}

/** Where the clip lies. One that was made of several pieces has a time of its own, from 0 on. */
function placeOf(clip: Clip, timeline: ClipTimeline | null): Place {
  if (timeline === null) {
    const own = { fromMs: 0, toMs: clip.durationMs };
    return { clip: own, kept: own };
  }
  const { fromMs, toMs, keptFromMs, keptToMs } = timeline;
  return { clip: { fromMs, toMs }, kept: { fromMs: keptFromMs, toMs: keptToMs } };
}

function Ready({ clip, timeline, back }: { clip: Clip; timeline: ClipTimeline | null; back: string }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const storyboard = useStoryboard(clip.storyboard).data;
  const waveform = useWaveform(clip.waveform).data;
  const place = useMemo(() => placeOf(clip, timeline), [clip, timeline]);
  const strips = useMemo(
    () => ({
      keyframesMs: timeline?.keyframesMs ?? [],
      cues: storyboard ? readStoryboard(storyboard.text, storyboard.address) : [],
      peaks: waveform ? readWaveform(waveform) : null,
      findings: clip.health?.findings ?? [],
    }),
    [timeline, storyboard, waveform, clip.health],
  );
  const onClip = (saved: Clip) => {
    queries.setQueryData(["edited", saved.id], saved);
    placeClip(queries, saved);
  };
  const onCover = async (number: number) => {
    const result = await api.editClip(clip.id, { poster: number }, clip.revision);
    if (result.ok) onClip(result.value);
    else toast({ text: m.editor.coverFailed, tone: "error" });
  };
  const onMoment = async (clipMs: number) => {
    if (clipMs < 0 || clipMs >= clip.durationMs) return toast({ text: m.editor.coverOutside });
    // The picture that is on the screen begins here, give or take what times are rounded by.
    const result = await api.coverAt(clip.id, Math.max(0, Math.floor(clipMs - 1)));
    if (result.ok) onClip(result.value);
    else toast({ text: m.editor.coverNot(result.error.detail), tone: "error" });
  };
  const onCut = async (cut: Cut) => {
    const result = await api.makeClip(recipeOf(cut, clip, timeline));
    if (!result.ok) {
      toast({ text: m.editor.cutFailed(result.error.detail), tone: "error" });
      return;
    }
    placeClip(queries, result.value);
    navigate(`/library/clips/${result.value.id}`, { state: { back, original: clip.id } });
  };
  return (
    <Editor
      clip={clip}
      place={place}
      strips={strips}
      covers={clip.posters.map(({ url, atMs, chosen }, number) => ({
        number,
        address: url,
        atMs,
        chosen,
      }))}
      around={useAround(clip)}
      back={back}
      origin={`/b/${clip.broadcast}?at=${Math.floor(clip.fromMs / 1_000)}`}
      recording={timeline?.broadcast ?? null}
      door={{
        send: async (edit, revision) => answer(await api.editClip(clip.id, editOf(edit), revision)),
        load: async () => answer(await api.clip(clip.id)),
        onClip,
      }}
      onCover={(number) => void onCover(number)}
      onMoment={onMoment}
      onCut={onCut}
      onOpen={(id) => navigate(`/library/clips/${id}`, { state: { back } })}
    />
  );
}

/** The broadcast and its clips, for the lane of the whole. */
function useAround(clip: Clip): Around | null {
  const broadcast = useBroadcasts().data?.items.find((item) => item.id === clip.broadcast);
  const clips = useClips({ broadcast: clip.broadcast }).data;
  return useMemo(() => {
    if (!broadcast) return null;
    const all = (clips?.pages ?? []).flatMap((page) => page.items);
    const last = Math.max(0, ...all.map((one) => one.toMs));
    return {
      title: broadcast.title || `@${broadcast.channel}`,
      durationMs: Math.max(broadcast.durationMs, last),
      clips: all.map((one) => ({ id: one.id, title: one.title, startMs: one.fromMs, endMs: one.toMs })),
    };
  }, [broadcast, clips]);
}

const LONGEST_TITLE = 200;

/** Whole milliseconds: the picture that begins within one is the first that is kept, or the first that is not. */
function recipeOf(cut: Cut, clip: Clip, timeline: ClipTimeline | null): NewClip {
  const say = cut.format === "original" ? m.editor.cutTitle : m.editor.exportTitle[cut.format];
  return {
    title: [...say(cut.title)].slice(0, LONGEST_TITLE).join(""),
    precision: cut.precision,
    format: cut.format,
    pieces: [pieceOf(cut, clip, timeline)],
  };
}

/** A made clip is a recording of its own, which stays when the broadcast's is gone. */
function pieceOf({ inMs, outMs }: Cut, clip: Clip, timeline: ClipTimeline | null): NewPiece {
  const fromMs = timeline?.fromMs ?? 0;
  const within = clip.kind === "made" && inMs >= fromMs && outMs <= (timeline?.toMs ?? outMs);
  if (!timeline?.broadcast || within) {
    return { clip: clip.id, fromMs: Math.floor(inMs - fromMs), toMs: Math.ceil(outMs - fromMs) };
  }
  return { broadcast: timeline.broadcast, fromMs: Math.floor(inMs), toMs: Math.ceil(outMs) };
}

function editOf({ tags, links, ...same }: Partial<Draft>) {
  return { ...same, ...(tags && { tags: [...tags] }), ...(links && { links: [...links] }) };
}

function answer<T>(result: Result<T>): Answer<T> {
  if (result.ok) return result;
  const { code, detail } = result.error;
  return {
    ok: false,
    error: { conflict: code === "conflict", unreachable: code === "network" || code === "away", detail },
  };
}
