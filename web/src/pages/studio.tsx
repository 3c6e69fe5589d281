import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Link } from "react-router";
import { CHANNEL } from "@/api/channel";
import { placeClip, useChannelStats, useClips, useServerInfo, useSignIn, useSignOut } from "@/api/queries";
import { useClipList } from "@/features/clips/list";
import { Bar, ClipButton, clipNow } from "@/features/studio/bar";
import { Advice, Health } from "@/features/studio/gauges";
import { keyError } from "@/features/studio/key-form";
import { KeyGate } from "@/features/studio/key-gate";
import { noticeFor } from "@/features/studio/notices";
import { Preview } from "@/features/studio/preview";
import { Recording } from "@/features/studio/recording";
import { studio } from "@/features/studio/session";
import { AddressBar, Settings } from "@/features/studio/settings";
import { SourceCards } from "@/features/studio/source-cards";
import { m } from "@/messages";
import { sendable } from "@/rtc/publisher";
import { useKeys, useTitle } from "@/ui/hooks";
import { useRemembered } from "@/ui/remember";
import { toast } from "@/ui/toast";

/** Go live, and know at a glance that viewers get it. */
export default function StudioPage() {
  useTitle(m.app.title(m.studio.title));
  const [failed, pending] = useKeyInAddress();
  return (
    <KeyGate for="studio" failed={m.studio.keyFailed} keyFailed={failed} busy={pending} block="aspect-video">
      <Studio />
    </KeyGate>
  );
}

/** The link that Oxbow prints carries the key behind `#`: swapped for a cookie, and gone from the address at once. */
function useKeyInAddress(): [failed: string | undefined, pending: boolean] {
  const signIn = useSignIn();
  const [pending, setPending] = useState(() => keyInAddress() !== null);
  const [failed, setFailed] = useState<string>();
  const swapped = useRef(false);
  useEffect(() => {
    const key = keyInAddress();
    if (key === null || swapped.current) return;
    swapped.current = true;
    history.replaceState(history.state, "", location.pathname + location.search);
    signIn
      .mutateAsync(key)
      .catch((cause: unknown) => setFailed(keyError(cause)))
      .finally(() => setPending(false));
  }, [signIn]);
  return [failed, pending];
}

function keyInAddress(): string | null {
  return new URLSearchParams(location.hash.slice(1)).get("key");
}

function Studio() {
  const queries = useQueryClient();
  const signOut = useSignOut();
  const view = useSyncExternalStore(studio.view.subscribe, studio.view.snapshot);
  const sources = useSyncExternalStore(studio.sources.view.subscribe, studio.sources.view.snapshot);
  const { publisher } = view;
  const [channel, setChannel] = useRemembered("oxbow.channel", view.channel);
  const [chosen, setCodec] = useRemembered("oxbow.codec", "h264");
  const codec = sendable().find((able) => able === chosen) ?? "h264";

  const sending = publisher.kind === "on-air" || publisher.kind === "reconnecting";
  const broadcast = "broadcast" in publisher ? publisher.broadcast : "";
  const stats = useChannelStats(view.channel, sending).data;
  const clipQuery = useClips({ broadcast }, broadcast !== "");
  const clips = useClipList(broadcast ? clipQuery.data : undefined);
  const recording = useServerInfo().data?.recordStreams ?? false;
  const clipCount = clips.reduce((most, clip) => Math.max(most, clip.part + 1), 0);

  useEffect(() => {
    void studio.sources.open();
    // Leaving the page gives the camera back, but never while it is on air.
    return () => {
      if (!studio.sending) studio.sources.close();
    };
  }, []);
  useEffect(() => {
    if (stats) studio.heard(stats);
  }, [stats]);
  useEffect(
    () =>
      studio.onEvent((event) => {
        if (event.kind === "clip") placeClip(queries, event.clip);
        if (event.kind === "lost") toast({ text: m.studio.deviceLost(event.name), tone: "error" });
        if (event.kind === "switch-failed") toast({ text: m.studio.switchFailed, tone: "error" });
      }),
    [queries],
  );
  useKeys({ c: () => void clipNow() }, sending && recording);
  useKeys({ m: (event) => event.shiftKey && studio.sources.setMuted(!sources.muted) });

  const hasSource = sources.video !== null || sources.audio !== null;
  const missing = !hasSource ? m.studio.needSource : CHANNEL.test(channel) ? null : m.studio.channelWrong;
  const goLive = () => {
    if (missing === null) studio.goLive(channel, codec);
  };
  const last = view.samples[view.samples.length - 1];
  const durationMs = view.startedAt === null || !last ? 0 : last.at - view.startedAt;
  const locked = sending || publisher.kind === "connecting";
  return (
    <>
      <main id="content" className="flex flex-1 flex-col">
        <h1 className="sr-only">{m.studio.title}</h1>
        <Bar
          view={view}
          stats={stats}
          clipCount={clipCount}
          recording={recording}
          missing={missing}
          onGoLive={goLive}
        />
        <div className="grid flex-1 grid-cols-1 tablet:grid-cols-[minmax(0,1fr)_308px] wide:grid-cols-[minmax(0,1fr)_366px]">
          <div className="mr-auto flex w-full max-w-[calc((100dvh-290px)*16/9)] min-w-0 flex-col gap-3 pb-5 tablet:min-w-[560px] tablet:px-[18px] tablet:pt-3.5 max-laptop:min-w-0 max-tablet:max-w-none">
            <Preview live={sending} codec={publisher.kind === "on-air" ? publisher.codec : null}>
              {noticeFor(view, sources.problem, hasSource, { clipCount, durationMs }, goLive)}
            </Preview>
            <div className="flex flex-col gap-3 max-tablet:px-3.5">
              <SourceCards />
              {sending && recording && <ClipButton large className="tablet:hidden" />}
              {locked && <AddressBar channel={view.channel} />}
            </div>
          </div>
          <aside className="flex min-w-0 flex-col gap-3 border-line px-4 pt-3.5 pb-6 tablet:border-l max-tablet:border-t max-tablet:px-3.5">
            {locked ? (
              <Health samples={view.samples} stats={stats} live={sending} />
            ) : (
              <Settings
                channel={channel}
                codec={codec}
                onChannel={setChannel}
                onCodec={setCodec}
                onSignOut={() => signOut.mutate()}
              />
            )}
            <Link
              to="/connections"
              className="self-start text-dense font-control text-water hover:underline max-tablet:py-2"
            >
              {m.connections.title}
            </Link>
            <Link
              to="/webhooks"
              className="self-start text-dense font-control text-water hover:underline max-tablet:py-2"
            >
              {m.webhooks.title}
            </Link>
            {view.alarm && <Advice cause={m.health.alarm} text={view.alarm} />}
            {(sending || publisher.kind === "ended") && (
              <Recording
                clips={clips}
                stats={stats}
                recording={recording}
                live={sending}
                broadcast={broadcast}
              />
            )}
          </aside>
        </div>
      </main>
      <p role="status" className="sr-only">
        {publisher.kind === "on-air"
          ? m.studio.announceOnAir
          : publisher.kind === "ended"
            ? m.studio.announceOver
            : ""}
      </p>
    </>
  );
}
