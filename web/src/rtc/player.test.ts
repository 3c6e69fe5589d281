import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ANSWER, ANSWER_WITHOUT_PICTURE, ended, FakeLink, FakePeer, FakeStream, live } from "./fakes";
import { Player } from "./player";

let link: FakeLink;
let player: Player;

const kind = () => player.view.snapshot().state.kind;
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCPeerConnection", FakePeer);
  vi.stubGlobal("MediaStream", FakeStream);
  FakePeer.all = [];
  link = new FakeLink();
  player = new Player(link.asLink());
});

afterEach(() => {
  player.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function joinLive(): Promise<FakePeer> {
  link.watchReply = { ok: true, state: "live", live: live(), answer: ANSWER, session: "v1" };
  link.connect();
  await settle();
  const peer = FakePeer.last;
  const [, video] = peer.receive("audio", "video");
  peer.become("connected");
  video?.flow();
  player.shown();
  return peer;
}

/** Media flows on this connection for a while. */
async function flow(peer: FakePeer, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 250) {
    peer.bytes += 1_000;
    await vi.advanceTimersByTimeAsync(250);
  }
}

describe("changing networks", () => {
  it("looks for another path by the session that it has", async () => {
    const peer = await joinLive();
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    peer.become("disconnected");
    await settle();
    expect(link.asked).toEqual(["watch with offer", "restart v1"]);
    peer.become("connected");
    await flow(peer, 1_000);
    expect([kind(), FakePeer.all.length]).toEqual(["live", 1]);
  });
});

describe("changing networks, as the browser says", () => {
  const restarted = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" } as const;

  it("looks for another path before the connection has noticed", async () => {
    await joinLive();
    link.restartReply = restarted;
    link.say("network");
    await settle();
    expect(link.asked).toEqual(["watch with offer", "restart v1"]);
  });

  it("waits as long as there is no network, and goes on by the same session on the next one", async () => {
    const peer = await joinLive();
    link.restartReply = restarted;
    link.kept = ["v1"];
    await flow(peer, 1_000);
    link.disconnect();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(kind()).toBe("reconnecting");
    link.say("network");
    link.connect();
    await vi.advanceTimersByTimeAsync(1_000);
    await flow(peer, 1_000);
    expect(link.asked).toEqual(["watch with offer", "resume v1", "restart v1"]);
    expect([kind(), FakePeer.all.length, peer.closed]).toEqual(["live", 1, false]);
  });
});

describe("joining", () => {
  it("makes its offer before the socket is there and sends it with the first question", async () => {
    expect(FakePeer.all).toHaveLength(1);
    await joinLive();
    expect(link.asked).toEqual(["watch with offer"]);
    expect(FakePeer.all).toHaveLength(1);
    expect(kind()).toBe("live");
  });

  it("makes its offer anew when the server names TURN servers", async () => {
    link.iceServers = [{ urls: ["turn:turn.example"], username: "u", credential: "c" }];
    await joinLive();
    expect(FakePeer.all.map((peer) => [peer.configuration.iceServers?.length, peer.closed])).toEqual([
      [0, true],
      [1, false],
    ]);
    expect(link.asked).toEqual(["watch with offer"]);
    expect(kind()).toBe("live");
  });

  it("waits for a channel that is not on air and starts by itself", async () => {
    link.connect();
    await settle();
    expect(kind()).toBe("waiting");
    link.watchReply = { ok: true, state: "live", live: live(), answer: ANSWER, session: "v1" };
    link.say("stream-started", { live: live(), resumed: false });
    expect(kind()).toBe("joining");
    await settle();
    expect(link.asked).toEqual(["watch with offer", "watch with offer"]);
    expect(player.view.snapshot().stream).not.toBeNull();
  });

  it("says when the browser has no decoder for the picture", async () => {
    link.watchReply = {
      ok: true,
      state: "live",
      live: live(),
      answer: ANSWER_WITHOUT_PICTURE,
      session: "v1",
    };
    link.connect();
    await settle();
    expect(kind()).toBe("unplayable");
  });

  it("says so too when it has a decoder, but for another format", async () => {
    link.watchReply = {
      ok: true,
      state: "live",
      live: live({ video: "av1" }),
      answer: ANSWER,
      session: "v1",
    };
    link.connect();
    await settle();
    expect(kind()).toBe("unplayable");
  });

  it("is live with sound alone when there is no picture", async () => {
    link.watchReply = { ok: true, state: "live", live: live({ video: null }), answer: ANSWER, session: "v1" };
    link.connect();
    await settle();
    const [audio] = FakePeer.last.receive("audio");
    audio?.flow();
    expect(kind()).toBe("live");
  });

  it("says what the server refused", async () => {
    link.watchReply = { ok: false, error: { code: "full", detail: "no room" } };
    link.connect();
    await settle();
    expect(player.view.snapshot().state).toEqual({ kind: "refused", code: "full", detail: "no room" });
  });

  it("asks again when the server does not answer", async () => {
    link.watchReply = { ok: false, error: { code: "network", detail: "" } };
    link.connect();
    await settle();
    link.watchReply = { ok: true, state: "offline", live: null, answer: null, session: null };
    await vi.advanceTimersByTimeAsync(1_100);
    expect(kind()).toBe("waiting");
  });
});

describe("what the server announces", () => {
  it("interrupted, resumed on the same connection, live again without a new session", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    link.say("stream-interrupted", { channel: "main", broadcast: "b1" });
    expect(kind()).toBe("interrupted");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(kind()).toBe("interrupted");
    link.say("stream-started", { live: live(), resumed: true });
    await flow(peer, 1_000);
    expect(kind()).toBe("live");
    expect(FakePeer.all).toHaveLength(1);
  });

  it("joins anew when a resumed broadcast brings nothing", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    link.say("stream-interrupted", { channel: "main", broadcast: "b1" });
    link.say("stream-started", { live: live(), resumed: true });
    await vi.advanceTimersByTimeAsync(5_500);
    expect(link.asked).toEqual(["watch with offer", "watch with offer"]);
  });

  it("ended: the link to the recording, and the connection is given back", async () => {
    const peer = await joinLive();
    link.say("stream-ended", ended());
    expect(player.view.snapshot().state).toEqual({ kind: "ended", ended: ended() });
    expect(peer.closed).toBe(true);
  });

  it("a new broadcast after the end is joined", async () => {
    await joinLive();
    link.say("stream-ended", ended());
    link.watchReply = {
      ok: true,
      state: "live",
      live: live({ broadcast: "b2" }),
      answer: ANSWER,
      session: "v1",
    };
    link.say("stream-started", { live: live({ broadcast: "b2" }), resumed: false });
    await settle();
    const [video] = FakePeer.last.receive("video");
    video?.flow();
    player.shown();
    expect(player.view.snapshot().state).toMatchObject({ kind: "live", live: { broadcast: "b2" } });
  });

  it("counts viewers", async () => {
    await joinLive();
    link.say("viewers", { channel: "main", count: 7 });
    expect(player.view.snapshot().viewers).toBe(7);
  });
});

describe("when the connection is bad", () => {
  it("says so after a second without media and joins anew after four", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(kind()).toBe("reconnecting");
    expect(link.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3_600);
    expect(link.asked).toHaveLength(2);
  });

  it("says that it is the streamer's when the server goes on talking meanwhile, and asks all the same", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    for (let at = 0; at < 3_000; at += 500) {
      peer.pathBytes += 60;
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(kind()).toBe("interrupted");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(link.asked).toEqual(["watch with offer", "watch with offer"]);
    await flow(peer, 1_000);
    expect(kind()).toBe("live");
  });

  it("joins nothing anew once the server has said so too", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    for (let at = 0; at < 3_000; at += 500) {
      peer.pathBytes += 60;
      await vi.advanceTimersByTimeAsync(500);
    }
    link.say("stream-interrupted", { channel: "main", broadcast: "b1" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect([kind(), link.asked.length, FakePeer.all.length]).toEqual(["interrupted", 1, 1]);
  });

  it("keeps the old picture until the new session's media flows", async () => {
    const old = await joinLive();
    await flow(old, 1_000);
    const before = player.view.snapshot().stream;
    await vi.advanceTimersByTimeAsync(4_600);
    const next = FakePeer.last;
    expect(next).not.toBe(old);
    expect(player.view.snapshot().stream).toBe(before);
    const [video] = next.receive("video");
    video?.flow();
    expect(player.view.snapshot().stream).not.toBe(before);
    expect(old.closed).toBe(true);
    player.shown();
    expect(kind()).toBe("live");
  });

  it("says that the streamer is gone when a new session stands and brings nothing", async () => {
    const old = await joinLive();
    await flow(old, 1_000);
    await vi.advanceTimersByTimeAsync(4_600);
    const next = FakePeer.last;
    next.receive("audio", "video");
    next.become("connected");
    expect(kind()).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(2_100);
    expect(kind()).toBe("interrupted");
    const asked = link.asked.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(link.asked).toHaveLength(asked);
    await flow(next, 1_000);
    expect(kind()).toBe("live");
  });

  it("is live again by itself when the media comes back", async () => {
    const peer = await joinLive();
    await flow(peer, 1_000);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(kind()).toBe("reconnecting");
    await flow(peer, 1_000);
    expect(kind()).toBe("live");
    expect(FakePeer.all).toHaveLength(1);
  });

  it("joins anew at once when the connection has failed", async () => {
    const peer = await joinLive();
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(10);
    expect(link.asked).toHaveLength(2);
  });

  it("goes on by the same session after the socket was away", async () => {
    const peer = await joinLive();
    link.kept = ["v1"];
    link.disconnect();
    await flow(peer, 2_000);
    expect(kind()).toBe("live");
    link.watchReply = { ...link.watchReply, live: live({ viewers: 9 }) } as typeof link.watchReply;
    link.connect();
    await flow(peer, 2_000);
    expect(link.asked).toEqual(["watch with offer", "resume v1"]);
    expect([kind(), FakePeer.all.length, peer.closed]).toEqual(["live", 1, false]);
    expect(player.view.snapshot().viewers).toBe(9);
  });

  it("learns with the next socket what it missed", async () => {
    const peer = await joinLive();
    link.kept = ["v1"];
    link.disconnect();
    await flow(peer, 1_000);
    link.watchReply = { ...link.watchReply, live: live({ state: "reconnecting" }) } as typeof link.watchReply;
    link.connect();
    await settle();
    expect([kind(), FakePeer.all.length]).toEqual(["interrupted", 1]);
    await flow(peer, 3_000);
    expect(kind()).toBe("live");
  });

  it("looks for another path when the next socket comes and the media has not", async () => {
    const peer = await joinLive();
    link.kept = ["v1"];
    link.restartReply = { ok: true, fragment: "a=ice-ufrag:new\r\na=ice-pwd:secret\r\n" };
    link.disconnect();
    peer.connectionState = "disconnected";
    link.connect();
    await settle();
    expect(link.asked).toEqual(["watch with offer", "resume v1", "restart v1"]);
    expect(FakePeer.all).toHaveLength(1);
  });

  it("joins anew when the server knows the session no longer", async () => {
    const peer = await joinLive();
    link.disconnect();
    await flow(peer, 1_000);
    link.connect();
    await settle();
    expect(link.asked).toEqual(["watch with offer", "resume v1", "watch with offer"]);
    const [video] = FakePeer.last.receive("video");
    video?.flow();
    expect([peer.closed, kind()]).toEqual([true, "reconnecting"]);
  });
});

describe("a network that carries only the sound", () => {
  it("is said until the pictures are back, and no longer than the session it is said of", async () => {
    const peer = await joinLive();
    link.say("pictures", { paused: true });
    expect(player.view.snapshot()).toMatchObject({ picturesPaused: true, state: { kind: "live" } });
    link.say("pictures", { paused: false });
    expect(player.view.snapshot().picturesPaused).toBe(false);
    link.say("pictures", { paused: true });
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(100);
    expect(player.view.snapshot().picturesPaused).toBe(false);
  });
});

describe("quality", () => {
  it("is asked for at once and again for each new session", async () => {
    const peer = await joinLive();
    link.say("layers", { channel: "main", heights: [720, 360] });
    expect(player.view.snapshot()).toMatchObject({ heights: [720, 360], quality: null });
    player.choose(360);
    expect(link.asked).toEqual(["watch with offer", "quality 360"]);
    expect(player.view.snapshot().quality).toBe(360);
    peer.become("failed");
    await vi.advanceTimersByTimeAsync(100);
    expect(link.asked.slice(2)).toEqual(["watch with offer", "quality 360"]);
  });

  it("is the server's choice until the viewer makes one", async () => {
    await joinLive();
    expect(link.asked).toEqual(["watch with offer"]);
  });
});
