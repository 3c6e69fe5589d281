import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ANSWER, FakeLink, FakePeer, FakeTrack, live } from "./fakes";
import type { RestartReply } from "./link";
import { HOLD_MS, Publisher } from "./publisher";

let link: FakeLink;
let publisher: Publisher;

const kind = () => publisher.state.snapshot().kind;
const settle = () => vi.advanceTimersByTimeAsync(0);
const track = (name: "audio" | "video") => new FakeTrack(name) as unknown as MediaStreamTrack;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", FakePeer);
  vi.stubGlobal("RTCRtpSender", { getCapabilities: () => ({ codecs: [] }) });
  FakePeer.all = [];
  link = new FakeLink();
  link.startReply = { ok: true, answer: ANSWER, broadcast: "b1", resumed: false, session: "s1" };
  publisher = new Publisher(
    link.asLink(),
    { video: track("video"), audio: track("audio") },
    { codec: "h264", videoBitrate: 2_500_000, framerate: 30 },
  );
});

afterEach(() => {
  publisher.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function goLive(): Promise<FakePeer> {
  link.connect();
  await settle();
  FakePeer.last.become("connected");
  return FakePeer.last;
}

/** The server reports about what it gets, for a while. */
async function talk(peer: FakePeer, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 500) {
    peer.pathBytes += 100;
    await vi.advanceTimersByTimeAsync(500);
  }
}

describe("going live", () => {
  it("offers when the socket is there and is on air when the media connection stands", async () => {
    expect(kind()).toBe("connecting");
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start"]);
    expect(kind()).toBe("connecting");
    FakePeer.last.become("connected");
    expect(publisher.state.snapshot()).toEqual({ kind: "on-air", broadcast: "b1", codec: "h264" });
  });

  it("says what the server refused and gives the connection back", async () => {
    link.startReply = { ok: false, error: { code: "channel_busy", detail: "on air" } };
    link.connect();
    await settle();
    expect(publisher.state.snapshot()).toEqual({ kind: "refused", code: "channel_busy", detail: "on air" });
    expect(FakePeer.last.closed).toBe(true);
  });

  it("says that the key was refused in the handshake", () => {
    link.say("refused", { code: "bad_key", detail: "wrong stream key" });
    expect(publisher.state.snapshot()).toMatchObject({ kind: "refused", code: "bad_key" });
  });
});

describe("staying on air", () => {
  it("looks for another path first, and goes on by the same connection", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    peer.become("disconnected");
    expect(kind()).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(peer.remote).toContain("a=ice-ufrag:new\r\n");
    peer.become("connected");
    await talk(peer, 5_000);
    expect(link.asked).toEqual(["start", "restart s1"]);
    expect([kind(), peer.closed]).toEqual(["on-air", false]);
  });

  it("offers anew when no other path was found in time", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    peer.become("disconnected");
    peer.become("failed");
    peer.become("connecting");
    await vi.advanceTimersByTimeAsync(3_900);
    expect(link.asked).toEqual(["start", "restart s1"]);
    await vi.advanceTimersByTimeAsync(200);
    expect(link.asked).toEqual(["start", "restart s1", "start"]);
    expect(peer.closed).toBe(true);
  });

  it("asks for another path as soon as the socket is back", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    link.disconnect();
    peer.become("disconnected");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(link.asked).toEqual(["start"]);
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start", "resume s1", "restart s1"]);
    peer.become("connected");
    expect([kind(), peer.closed]).toEqual(["on-air", false]);
  });

  it("keeps its connection while there is no network at all, and goes on by it on the next one", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    link.watchReply = { ok: true, state: "reconnecting", live: live(), answer: null, session: null };
    link.kept = ["s1"];
    link.disconnect();
    peer.become("disconnected");
    await vi.advanceTimersByTimeAsync(15_000);
    expect([kind(), peer.closed]).toEqual(["reconnecting", false]);
    link.say("network");
    link.connect();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(link.asked).toEqual(["start", "resume s1", "restart s1"]);
    peer.become("connected");
    expect([kind(), peer.closed, FakePeer.all.length]).toEqual(["on-air", false, 1]);
  });

  it("looks for another path when the server misses it before the browser does", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    const missed = live({ state: "reconnecting" });
    link.watchReply = { ok: true, state: "reconnecting", live: missed, answer: null, session: null };
    link.kept = ["s1"];
    link.disconnect();
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start", "resume s1", "restart s1"]);
    expect([kind(), peer.closed]).toEqual(["on-air", false]);
  });

  it("counts the time for another path from the server's answer", async () => {
    const peer = await goLive();
    let answer = (_: RestartReply) => {};
    link.restartIce = (session) => {
      link.asked.push(`restart ${session}`);
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    peer.become("disconnected");
    await vi.advanceTimersByTimeAsync(7_000);
    answer({ ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" });
    await vi.advanceTimersByTimeAsync(3_900);
    expect([link.asked, peer.closed]).toEqual([["start", "restart s1"], false]);
    await vi.advanceTimersByTimeAsync(200);
    expect([link.asked, peer.closed]).toEqual([["start", "restart s1", "start"], true]);
  });

  it("looks for another path as soon as the browser is on another network", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    link.watchReply = { ok: true, state: "live", live: live(), answer: null, session: null };
    link.kept = ["s1"];
    link.disconnect();
    link.say("network");
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start", "resume s1", "restart s1"]);
    expect([kind(), peer.closed]).toEqual(["on-air", false]);
    link.say("network");
    await settle();
    expect(link.asked.slice(3)).toEqual(["restart s1"]);
  });

  it("looks for another path when the server falls silent, once for each silence", async () => {
    const peer = await goLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    await talk(peer, 5_000);
    expect(link.asked).toEqual(["start"]);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(link.asked).toEqual(["start", "restart s1"]);
    await talk(peer, 1_000);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(link.asked).toEqual(["start", "restart s1", "restart s1"]);
    expect([kind(), peer.closed]).toEqual(["on-air", false]);
  });

  it("offers anew when the connection has failed, and the broadcast goes on", async () => {
    const peer = await goLive();
    link.startReply = { ok: true, answer: ANSWER, broadcast: "b1", resumed: true, session: "s2" };
    peer.become("failed");
    expect(kind()).toBe("reconnecting");
    await settle();
    expect(peer.closed).toBe(true);
    FakePeer.last.become("connected");
    expect(publisher.state.snapshot()).toMatchObject({ kind: "on-air", broadcast: "b1" });
  });

  it("leaves media alone that went on while the socket was away", async () => {
    await goLive();
    link.disconnect();
    link.watchReply = { ok: true, state: "live", live: live(), answer: null, session: null };
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start", "resume s1"]);
    expect(kind()).toBe("on-air");
  });

  it("offers anew when the server came back without the broadcast's media", async () => {
    await goLive();
    link.disconnect();
    link.connect();
    await settle();
    expect(link.asked).toEqual(["start", "resume s1", "start"]);
  });

  it("tries again while its own dead session still holds the channel", async () => {
    const peer = await goLive();
    link.startReply = { ok: false, error: { code: "channel_busy", detail: "" } };
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(3_100);
    expect(link.asked.filter((asked) => asked === "start").length).toBeGreaterThanOrEqual(4);
    link.startReply = { ok: true, answer: ANSWER, broadcast: "b1", resumed: true, session: "s2" };
    await vi.advanceTimersByTimeAsync(1_100);
    FakePeer.last.become("connected");
    expect(kind()).toBe("on-air");
  });

  it("knows that another device has taken over while it was away", async () => {
    const peer = await goLive();
    link.startReply = { ok: false, error: { code: "channel_busy", detail: "" } };
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(8_500);
    expect(publisher.state.snapshot()).toMatchObject({ kind: "ended", reason: "taken-over" });
  });

  it("gives up when the broadcast is no longer held", async () => {
    const peer = await goLive();
    link.startReply = { ok: false, error: { code: "network", detail: "" } };
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(HOLD_MS + 3_000);
    expect(publisher.state.snapshot()).toEqual({ kind: "ended", broadcast: "b1", reason: "lost" });
  });

  it("stops when another device has taken over", async () => {
    const peer = await goLive();
    link.say("taken-over", {});
    expect(publisher.state.snapshot()).toMatchObject({ kind: "ended", reason: "taken-over" });
    expect(peer.closed).toBe(true);
  });
});

describe("after its page was loaded anew", () => {
  const resume = (since: number) => {
    publisher.close();
    publisher = new Publisher(
      link.asLink(),
      { video: track("video"), audio: track("audio") },
      { codec: "h264", videoBitrate: 2_500_000, framerate: 30, resumes: { broadcast: "b1", since } },
    );
  };

  it("waits until the server has noticed, and goes on with the same broadcast", async () => {
    resume(Date.now() - 1_000);
    expect(publisher.state.snapshot()).toMatchObject({ kind: "reconnecting", broadcast: "b1" });
    link.watchReply = { ok: true, state: "live", live: live(), answer: null, session: null };
    link.startReply = { ok: false, error: { code: "channel_busy", detail: "" } };
    link.connect();
    await vi.advanceTimersByTimeAsync(2_100);
    link.startReply = { ok: true, answer: ANSWER, broadcast: "b1", resumed: true, session: "s2" };
    await vi.advanceTimersByTimeAsync(1_100);
    FakePeer.last.become("connected");
    expect(publisher.state.snapshot()).toEqual({ kind: "on-air", broadcast: "b1", codec: "h264" });
  });

  it("starts no other broadcast when its own is over", async () => {
    resume(Date.now() - 29_000);
    link.connect();
    await settle();
    expect(link.asked).toEqual(["watch"]);
    expect(publisher.state.snapshot()).toEqual({ kind: "ended", broadcast: "b1", reason: "lost" });
  });

  it("stops the other broadcast that it is given at the last moment", async () => {
    resume(Date.now() - 29_000);
    link.watchReply = { ok: true, state: "reconnecting", live: live(), answer: null, session: null };
    link.startReply = { ok: true, answer: ANSWER, broadcast: "b2", resumed: false, session: "s2" };
    link.connect();
    await settle();
    expect(link.asked).toEqual(["watch", "start", "stop"]);
    expect(publisher.state.snapshot()).toEqual({ kind: "ended", broadcast: "b1", reason: "lost" });
    expect(FakePeer.last.closed).toBe(true);
  });

  it("gives up when nobody holds the broadcast any more", async () => {
    resume(Date.now() - HOLD_MS - 1_000);
    link.watchReply = { ok: true, state: "live", live: live(), answer: null, session: null };
    link.connect();
    await settle();
    expect(link.asked).toEqual(["watch"]);
    expect(publisher.state.snapshot()).toMatchObject({ kind: "ended", reason: "lost" });
  });
});

describe("sources", () => {
  it("replaces a track without a new offer", async () => {
    const peer = await goLive();
    const next = track("video");
    expect(await publisher.replace("video", next)).toEqual({ ok: true });
    expect(peer.transceivers.map((t) => t.sender.track)).toContain(next);
    expect(link.asked).toEqual(["start"]);
  });
});

describe("ending", () => {
  it("ends at once by the socket", async () => {
    await goLive();
    await publisher.stop(async () => ({ ok: false }));
    expect(link.asked).toEqual(["start", "stop"]);
    expect(publisher.state.snapshot()).toMatchObject({ kind: "ended", reason: "stopped" });
  });

  it("ends by the fallback when the socket cannot, and says when neither can", async () => {
    await goLive();
    link.stopStream = async () => ({ ok: false, error: { code: "network", detail: "" } }) as never;
    expect(await publisher.stop(async () => ({ ok: false }))).toEqual({ ok: false });
    expect(kind()).toBe("on-air");
    expect(await publisher.stop(async () => ({ ok: true }))).toEqual({ ok: true });
    expect(kind()).toBe("ended");
  });

  it("hears that the server ended it", async () => {
    await goLive();
    link.say("stream-ended", { channel: "main", broadcast: "b1", reason: "shutdown", recording: null });
    expect(publisher.state.snapshot()).toMatchObject({ kind: "ended", reason: "shutdown" });
  });
});
