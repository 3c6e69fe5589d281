// The editor of one clip: picture, timeline, form and cut bar around one sheet. What it shows and where it saves come from the page.
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { m } from "@/messages";
import { KeyList } from "@/ui/key-list";
import { River, type RiverClip } from "@/ui/river";
import { Autosave, type Door, type Saved } from "./autosave";
import { Conflict } from "./conflict";
import { Controls } from "./controls";
import { type Candidate, Cover } from "./cover";
import { CutBar, type Precision } from "./cut-bar";
import { Form } from "./form";
import { type Format, Header } from "./header";
import { keep, keptOf } from "./keep";
import { KEYS, useEditorKeys } from "./keys";
import { Picture } from "./picture";
import { type Edge, editPoints, nextPoint, type Range, setEdge } from "./range";
import { Sheet } from "./sheet";
import { type Strips, Timeline } from "./timeline";
import { Transport } from "./transport";
import { atLevel, clamp, closest, fitted, lengthOf, reveal, type Span, zoom, zoomLevel } from "./view";

export type Edited = Saved & {
  id: string;
  media: string;
  poster: string | null;
  video: string | null;
  audio: string | null;
};

/** Where the clip lies in its broadcast. */
export type Place = { clip: Span; kept: Span };

export type Around = { title: string; durationMs: number; clips: readonly RiverClip[] };

/** A piece of the broadcast that is to be made a clip of its own. */
export type Cut = Range & { title: string; precision: Precision; format: "original" | Format };

type Props<C extends Edited> = {
  clip: C;
  place: Place;
  strips: Strips;
  covers: readonly Candidate[];
  /** The broadcast it was cut from; null while it is not known. */
  around: Around | null;
  back: string;
  /** The address of the clip's place in its broadcast. */
  origin: string;
  /** The broadcast that it is one piece of; null: there is nothing around it to look at. */
  recording: string | null;
  door: Pick<Door<C>, "send" | "load" | "onClip">;
  onCover: (number: number) => void;
  /** The picture at this time of the clip becomes its cover. */
  onMoment: (clipMs: number) => Promise<void>;
  onCut: (cut: Cut) => Promise<void>;
  onOpen: (id: string) => void;
};

/** The objects that live as long as this clip is edited. */
function useDesk<C extends Edited>({ clip, place, door }: Props<C>) {
  const latest = useRef(door);
  latest.current = door;
  const [desk] = useState(() => {
    const autosave = new Autosave<C>(clip, keptOf(clip.id), {
      send: (edit, revision) => latest.current.send(edit, revision),
      load: () => latest.current.load(),
      onClip: (saved) => latest.current.onClip(saved),
      keep: (kept) => keep(clip.id, kept),
      now: Date.now,
    });
    const whole = { inMs: place.clip.fromMs, outMs: place.clip.toMs };
    return { autosave, sheet: new Sheet(whole, autosave), transport: new Transport(place.clip, clip.media) };
  });
  useEffect(() => {
    desk.autosave.open();
    return () => desk.autosave.close();
  }, [desk]);
  return desk;
}

export function Editor<C extends Edited>(props: Props<C>) {
  const { clip, place, strips, covers, around, back, origin, recording, onCover, onMoment, onCut, onOpen } =
    props;
  const { autosave, sheet, transport } = useDesk(props);
  const { range, draft, canUndo, canRedo } = useSyncExternalStore(sheet.subscribe, sheet.snapshot);
  const { state } = useSyncExternalStore(autosave.subscribe, autosave.snapshot);
  const playing = useSyncExternalStore(transport.subscribe, transport.snapshot);
  const [precision, setPrecision] = useState<Precision>("exact");
  const [busy, setBusy] = useState(false);
  const all = place.kept;
  const [view, onView] = useState<Span>(() => fitted(place.clip, all));
  const [width, setWidth] = useState(0);
  useEffect(() => transport.setLoop({ fromMs: range.inMs, toMs: range.outMs }), [transport, range]);
  const { keyframesMs } = strips;
  useEffect(
    () => transport.setReach(recording === null ? null : { broadcast: recording, all, keyframesMs }),
    [transport, recording, all, keyframesMs],
  );

  const { frameMs } = playing;
  const least = closest(width, frameMs);
  const level = zoomLevel(view, all, least);
  const go = useCallback(
    (ms: number) => {
      transport.seek(ms);
      onView((now) => reveal(now, ms, all));
    },
    [transport, all],
  );
  const moves = {
    set: (edge: Edge) => {
      const { positionMs } = transport.snapshot();
      // The picture that is seen is the last one that is kept. Pictures come unevenly: a little less than to the next one.
      const ms = edge === "in" ? positionMs : positionMs + frameMs * 0.75;
      sheet.setRange(setEdge(range, edge, ms, all, frameMs), `set ${edge} ${ms}`);
    },
    jump: (edge: Edge) => go(edge === "in" ? range.inMs : range.outMs - frameMs / 2),
    type: (edge: Edge, ms: number) => {
      sheet.setRange(setEdge(range, edge, ms, all, frameMs), `type ${edge} ${ms}`);
      go(edge === "in" ? ms : ms - frameMs / 2);
    },
  };
  const publish = () => {
    sheet.edit("visibility", { visibility: "published" });
    void autosave.flush();
  };
  const make = async (format: Cut["format"]) => {
    setBusy(true);
    await onCut({ ...range, title: draft.title, precision, format });
    setBusy(false);
  };
  useEditorKeys(transport, {
    ...moves,
    point: (direction) =>
      go(nextPoint(editPoints(range, place.clip), transport.snapshot().positionMs, direction, frameMs)),
    end: (which) => go(which === "start" ? place.clip.fromMs : place.clip.toMs),
    zoom: (direction) =>
      onView((now) => zoom(now, direction > 0 ? 1.5 : 1 / 1.5, playing.positionMs, all, least)),
    fit: () => onView(fitted(place.clip, all)),
    undo: () => sheet.undo(),
    redo: () => sheet.redo(),
    save: () => void autosave.flush(),
    publish,
  });
  const moment = useRef(onMoment);
  moment.current = onMoment;
  const cover = useMemo(() => {
    const onThis = () => moment.current(transport.snapshot().positionMs - place.clip.fromMs);
    return <Cover candidates={covers} onChoose={onCover} onThis={onThis} />;
  }, [covers, onCover, transport, place]);

  return (
    <main id="content" className="flex flex-1 flex-col laptop:h-dvh laptop:flex-none laptop:overflow-hidden">
      <Header
        title={draft.title}
        from={around ? m.editor.from(around.title) : ""}
        origin={origin}
        visibility={draft.visibility}
        state={state}
        back={back}
        undo={canUndo ? () => sheet.undo() : null}
        redo={canRedo ? () => sheet.redo() : null}
        media={clip.media}
        hasSound={clip.audio !== null}
        onExport={(format) => void make(format)}
        onPublish={publish}
      />
      {state.kind === "conflict" && (
        <Conflict
          mine={draft}
          theirs={state.theirs}
          fields={state.fields}
          onSettle={(settled) => void autosave.settle(settled)}
        />
      )}
      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] laptop:grid-cols-[minmax(0,1fr)_366px] laptop:grid-rows-[minmax(0,1fr)_auto_auto_auto]">
        <Picture
          media={clip.media}
          poster={clip.poster}
          sound={clip.video === null}
          failed={playing.failed}
          beyond={playing.beyond}
          transport={transport}
        />
        <section
          aria-label={m.editor.about}
          className="border-line bg-surface p-4 max-laptop:order-last max-laptop:bg-bg max-laptop:pb-24 laptop:overflow-y-auto laptop:border-l"
        >
          <Form draft={draft} cover={cover} onEdit={(field, patch) => sheet.edit(field, patch)} />
        </section>
        <div className="border-line laptop:col-span-2 laptop:border-t">
          <Controls
            range={range}
            transport={transport}
            moves={moves}
            zoom={{
              level,
              shownMs: lengthOf(view),
              onLevel: (next) =>
                onView((now) => atLevel(clamp(next, 0, 1), now, playing.positionMs, all, least)),
            }}
          />
        </div>
        <div className="laptop:col-span-2">
          <Timeline
            all={all}
            clip={place.clip}
            range={range}
            view={view}
            transport={transport}
            strips={strips}
            onView={onView}
            onWidth={setWidth}
            onRange={(next, edge, whole) => sheet.setRange(next, `handle ${edge}`, whole)}
          >
            {around && <Broadcast around={around} view={view} onOpen={onOpen} />}
          </Timeline>
        </div>
        <div className="laptop:col-span-2">
          <CutBar
            range={range}
            clip={place.clip}
            keyframesMs={strips.keyframesMs}
            precision={precision}
            onPrecision={setPrecision}
            busy={busy}
            onCut={() => void make("original")}
          />
        </div>
      </div>
      <KeyList keys={KEYS} />
    </main>
  );
}

/** The lane of the whole broadcast, and which part of it the timeline shows. */
function Broadcast({ around, view, onOpen }: { around: Around; view: Span; onOpen: (id: string) => void }) {
  const share = (ms: number) => `${clamp(ms / Math.max(1, around.durationMs), 0, 1) * 100}%`;
  return (
    <>
      <div
        aria-hidden
        className="grid items-center border-r border-line pl-3.5 text-caption text-ink-3 max-tablet:hidden"
      >
        {m.editor.broadcast}
      </div>
      <div className="relative border-t border-line px-3 py-1.5">
        <River
          height={26}
          durationMs={Math.max(1, around.durationMs)}
          clips={around.clips}
          label={m.river.whole(m.editor.spoken(around.durationMs), around.clips.length)}
          onOpen={onOpen}
        />
        <div aria-hidden className="pointer-events-none absolute inset-x-3 bottom-1.5 h-1">
          <span
            className="absolute inset-y-0 min-w-1 bg-ink"
            style={{ left: share(view.fromMs), right: `calc(100% - ${share(view.toMs)})` }}
          />
        </div>
      </div>
    </>
  );
}
