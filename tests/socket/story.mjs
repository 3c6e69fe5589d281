// The socket, told by the official client: node story.mjs <base> <transport> <key> <oxbow> <offers> <server's pid>
// Prints what it did; ends with "all told", or throws.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [base, transport, key, oxbow, offers, server] = process.argv.slice(2);
const { io } = createRequire(new URL("../../web/package.json", import.meta.url))("socket.io-client");
const open = new Set();
const PATIENCE_MS = 60_000;

const say = (text) => console.log(`- ${text}`);
const offer = (name) => readFileSync(`${offers}/${name}.sdp`, "utf8").split(/\r?\n/).filter(Boolean).join("\r\n") + "\r\n";

function connect(auth, query) {
  const socket = io(base, { transports: [transport], auth, query, forceNew: true, reconnection: false });
  open.add(socket);
  return socket;
}

/** The next time that `event` comes and `fits`. */
function next(socket, event, fits = () => true) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${event} did not come`)), PATIENCE_MS);
    socket.on(event, function heard(payload) {
      if (!fits(payload)) return;
      clearTimeout(late);
      socket.off(event, heard);
      resolve(payload);
    });
  });
}

async function connected(auth, query) {
  const socket = connect(auth, query);
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
  });
  assert.equal(socket.io.engine.transport.name, transport);
  return socket;
}

const ask = (socket, event, ...payload) => socket.timeout(PATIENCE_MS).emitWithAck(event, ...payload);

async function refused(socket, event, payload, code) {
  const answer = await ask(socket, event, ...(payload === undefined ? [] : [payload]));
  assert.equal(answer.ok, false, `${event} ${JSON.stringify(payload)?.slice(0, 80)}`);
  assert.equal(answer.error.code, code, `${event} ${JSON.stringify(payload)?.slice(0, 80)}: ${answer.error.detail}`);
  assert.ok(answer.error.detail.length > 0);
}

async function stats() {
  const answer = await fetch(`${base}/api/channels/main/stats`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(answer.status, 200);
  return answer.json();
}

const frames = (figures) => figures.tracks.find((track) => track.kind === "video").frames;

async function handshakes() {
  for (const [auth, query, message] of [
    [{ streamKey: "wrong-key" }, {}, /^wrong stream key$/],
    [{}, { streamKey: "wrong-key" }, /^wrong stream key$/],
    [{ streamKey: 7 }, {}, /^malformed handshake/],
    [{ channel: "No/Such" }, {}, /channel name/],
    [{ streamKey: key, channel: "" }, {}, /channel name/],
  ]) {
    const error = await next(connect(auth, query), "connect_error");
    assert.match(error.message, message);
  }
  assert.deepEqual(await next(connect({}), "welcome"), { iceServers: [] });
  const old = await connected({}, { streamKey: key, channel: "other" });
  assert.equal((await ask(old, "watch", {})).state, "offline");
  old.disconnect();
  say("handshakes are admitted or refused with their reason");
}

async function strangers(viewer) {
  assert.deepEqual(await ask(viewer, "watch", {}), { ok: true, state: "offline", live: null, answer: null, session: null });
  assert.deepEqual(await ask(viewer, "watch"), { ok: true, state: "offline", live: null, answer: null, session: null });
  assert.equal((await ask(viewer, "watch", { channel: "main", offer: offer("chromium-watch") })).state, "offline");
  await refused(viewer, "start-stream", { offer: offer("chromium-publish") }, "key_required");
  await refused(viewer, "stop-stream", {}, "key_required");
  await refused(viewer, "clip", {}, "not_live");
  for (const [event, payload] of [
    ["watch", { channel: 5 }],
    ["watch", { channel: "../main" }],
    ["watch", "main"],
    ["watch", [1, 2]],
    ["start-stream", {}],
    ["start-stream", { offer: { type: "offer" } }],
    ["start-stream", { offer: "v=0", codec: "av2" }],
    ["clip", { title: 5 }],
    ["ice-candidate", { candidate: 5 }],
    ["ice-candidate", { candidate: { candidate: "rubbish" } }],
    ["ice-candidate", {}],
    ["restart-ice", { session: "s0-1" }],
  ]) {
    await refused(viewer, event, payload, "invalid");
  }
  for (const candidate of [null, { candidate: "" }, { candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host", sdpMid: "0" }]) {
    assert.deepEqual(await ask(viewer, "ice-candidate", { candidate }), { ok: true });
  }
  await refused(viewer, "restart-ice", { session: "s0-1.made-up", fragment: "" }, "not_found");
  await refused(viewer, "ice-candidate", { candidate: `candidate:${"x".repeat(2000)}` }, "too_large");
  say("strangers watch and are told what they may not do");
}

function publish(channel) {
  const pattern = ["--size", "384x216", "--fps", "15"];
  const options = { stdio: ["ignore", "inherit", "inherit"] };
  return spawn(oxbow, ["publish", "--url", `${base}/whip/${channel}`, "--key", key, ...pattern], options);
}

/** The server is told to stop in the middle of a live: everybody hears it before the sockets close. */
async function stopping() {
  const viewer = await connected({ channel: "night" });
  assert.equal((await ask(viewer, "watch", {})).state, "offline");
  const elsewhere = await connected({ channel: "main" });
  const started = next(viewer, "stream-started");
  const publisher = publish("night");
  try {
    const { live } = await started;
    const heard = [
      next(viewer, "server-stopping"),
      next(elsewhere, "server-stopping"),
      next(viewer, "stream-ended", ({ reason }) => reason === "shutdown"),
      new Promise((resolve) => viewer.on("disconnect", resolve)),
    ];
    process.kill(Number(server), "SIGTERM");
    const [, , ended] = await Promise.all(heard);
    assert.equal(ended.recording, `/b/${live.broadcast}`);
  } finally {
    publisher.kill("SIGKILL");
  }
  say("everybody is told that the server stops");
}

/** A connection is known again by another socket, as after a change of networks. */
async function restarts() {
  const before = await connected({ streamKey: key, channel: "moved" });
  const opened = await ask(before, "start-stream", { offer: offer("chromium-publish") });
  assert.ok(opened.ok && opened.session, JSON.stringify(opened));
  before.disconnect();
  const after = await connected({ streamKey: key, channel: "moved" });
  const restart = { session: opened.session, fragment: "a=ice-ufrag:next\r\na=ice-pwd:anotherpasswordanother00\r\n" };
  const { ok, fragment } = await ask(after, "restart-ice", restart);
  assert.ok(ok && /^a=candidate:/m.test(fragment));
  const ufrag = (sdp) => /^a=ice-ufrag:(.*)$/m.exec(sdp)[1];
  assert.notEqual(ufrag(fragment), ufrag(opened.answer));
  await refused(after, "restart-ice", restart, "invalid");
  await refused(after, "restart-ice", { ...restart, fragment: "rubbish" }, "invalid");
  after.disconnect();
  say("a connection's ICE is restarted by a later socket");
}

/** A socket that dies without a word leaves its session to the one that can name it; one that says goodbye takes it along. */
async function resumes() {
  const before = await connected({});
  const { session } = await ask(before, "watch", { offer: offer("chromium-watch") });
  const gone = next(before, "disconnect");
  before.io.engine.close();
  await gone;
  const [name, broadcast, mac] = session.split(".");
  const forged = `${name}.${broadcast}.${mac.replace(/./g, (digit) => (digit === "0" ? "1" : "0"))}`;
  const after = await connected({});
  for (const wrong of [forged, name, "", "x".repeat(1_000)]) {
    const answer = await ask(after, "watch", { session: wrong });
    assert.deepEqual([answer.ok, answer.session, answer.answer], [true, null, null], wrong);
  }
  assert.equal((await ask(after, "watch", { channel: "other", session })).session, null);
  await refused(after, "watch", { session: 7 }, "invalid");
  await refused(after, "quality", { height: 360 }, "not_found");
  const resumed = await ask(after, "watch", { session, offer: "not looked at" });
  assert.deepEqual([resumed.ok, resumed.state, resumed.session, resumed.answer], [true, "live", session, null]);
  assert.deepEqual(await ask(after, "quality", { height: 360 }), { ok: true });
  const left = next(after, "disconnect");
  after.disconnect();
  await left;
  const last = await connected({});
  assert.equal((await ask(last, "watch", { session })).session, null, "its viewer has said goodbye");
  last.disconnect();
  say("a viewing session goes over to a later socket, if it is named");
}

/** Everything that can go wrong beside a live must leave it alone. */
async function disturbances(broadcast) {
  const before = await stats();
  const side = await connected({ streamKey: key, channel: "side" });
  for (const wrong of ["rubbish", "", "v=0\r\n".repeat(14_000), offer("chromium-publish").slice(0, 600)]) {
    await refused(side, "start-stream", { offer: wrong }, "malformed_offer");
  }
  const second = await connected({ streamKey: key });
  await refused(second, "start-stream", { offer: offer("chromium-publish") }, "channel_busy");
  const loud = await connected({});
  const closed = new Promise((resolve) => loud.on("disconnect", resolve));
  loud.emit("watch", { offer: "x".repeat(200_000) });
  await closed;
  const hasty = await connected({});
  const answers = await Promise.all(Array.from({ length: 150 }, () => ask(hasty, "ice-candidate", { candidate: null })));
  assert.ok(answers.some((answer) => answer.error?.code === "rate_limited"), "150 messages at once are too many");
  assert.ok(answers.some((answer) => answer.ok), "some of them are not");
  assert.equal((await ask(second, "watch", {})).live.broadcast, broadcast, "still the same live");
  second.disconnect();
  // All of that may take less than the time between two frames.
  const deadline = Date.now() + 5_000;
  let after;
  do {
    after = await stats();
    assert.equal(after.broadcast, broadcast);
    assert.equal(after.state, "live");
  } while (frames(after) <= frames(before) + 1 && Date.now() < deadline);
  assert.ok(frames(after) > frames(before) + 1, "frames go on coming");
  say("a second streamer, wrong SDP, large and many messages disturb nobody");
}

async function main() {
  await handshakes();
  const viewer = await connected({ channel: "main" });
  await strangers(viewer);
  await restarts();

  const started = next(viewer, "stream-started");
  const publisher = publish("main");
  try {
    const { live, resumed } = await started;
    assert.equal(resumed, false);
    assert.equal(live.channel, "main");
    assert.equal(live.recording, true);
    say("a waiting viewer is told that the live started");

    const watching = await ask(viewer, "watch", { offer: offer("chromium-watch") });
    assert.equal(watching.state, "live");
    assert.match(watching.answer, /^v=0/);
    const again = await ask(viewer, "watch", { offer: offer("firefox-watch") });
    assert.match(again.answer, /^v=0/);
    const { utcMs } = await ask(viewer, "latency", { ms: 120 });
    assert.ok(Math.abs(utcMs - Date.now()) < 5_000, "the server tells its clock");
    assert.equal((await ask(viewer, "latency", { ms: -1 })).error.code, "invalid");
    assert.deepEqual(await ask(viewer, "unwatch", {}), { ok: true });
    assert.equal((await ask(viewer, "watch", {})).state, "live");
    say("watching is answered, replaced and ended");

    await resumes();
    await disturbances(live.broadcast);

    const saved = next(viewer, "clip", ({ clip }) => clip.title === "Look at this");
    const { requested } = await ask(viewer, "clip", { title: "Look at this" });
    assert.match(requested, /^[0-9a-z]{26}$/);
    const { clip } = await saved;
    assert.equal(clip.broadcast, live.broadcast);
    const media = await fetch(`${base}${clip.media}`);
    assert.equal(media.status, 200);
    assert.equal((await media.arrayBuffer()).byteLength, clip.size);
    say("a viewer's clip is cut, announced and playable");

    const streamer = await connected({}, { streamKey: key });
    const ended = next(viewer, "stream-ended");
    assert.deepEqual(await ask(streamer, "stop-stream"), { ok: true });
    assert.deepEqual(await ended, {
      channel: "main",
      broadcast: live.broadcast,
      reason: "stopped",
      recording: `/b/${live.broadcast}`,
    });
    await refused(streamer, "stop-stream", {}, "not_live");
    say("the streamer stops and the viewer gets the link to the recording");
  } finally {
    publisher.kill("SIGTERM");
  }
  await stopping();
  for (const socket of open) socket.disconnect();
  console.log("all told");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
