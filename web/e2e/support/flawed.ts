// A streamer whose picture or sound fails for a while: a canvas and a tone over WHIP.
import type { Page } from "@playwright/test";
import { KEY } from "./server";

/** Seconds since the media began. */
export type Stretch = readonly [from: number, to: number];

export type Flaws = {
  /** Pictures come, and are black. */
  black?: Stretch;
  /** No pictures come. */
  held?: Stretch;
  /** Sound comes, and says nothing. */
  silent?: Stretch;
};

/** Sends for so many seconds, and ends the broadcast. The page must have been pressed: without that it makes no sound. */
export async function publishFlawed(
  page: Page,
  channel: string,
  seconds: number,
  flaws: Flaws,
): Promise<void> {
  await page.evaluate(send, [`/whip/${channel}`, KEY, seconds, flaws] as const);
}

/** Runs in the page. */
async function send([address, key, seconds, { black, held, silent }]: readonly [
  string,
  string,
  number,
  Flaws,
]): Promise<void> {
  let begun = Number.POSITIVE_INFINITY;
  const within = (stretch: Stretch | undefined) => {
    const now = Math.max(0, (performance.now() - begun) / 1_000);
    return stretch !== undefined && now >= stretch[0] && now < stretch[1];
  };
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  let place = 0;
  const paint = setInterval(() => {
    if (within(held)) return;
    place += 1;
    context.fillStyle = within(black) ? "#000" : "#2a6";
    context.fillRect(0, 0, 640, 360);
    if (within(black)) return;
    context.fillStyle = "#fff";
    context.fillRect((place * 9) % 560, 40 + ((place * 5) % 200), 80, 80);
  }, 33);
  const audio = new AudioContext();
  const heard = audio.createMediaStreamDestination();
  const [tone, volume] = [new OscillatorNode(audio), new GainNode(audio, { gain: 0.3 })];
  tone.connect(volume).connect(heard);
  tone.start();
  const connection = new RTCPeerConnection();
  for (const track of [...canvas.captureStream(30).getTracks(), ...heard.stream.getTracks()]) {
    connection.addTransceiver(track, { direction: "sendonly" });
  }
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  const headers = { authorization: `Bearer ${key}` };
  const answer = await fetch(address, {
    method: "POST",
    headers: { ...headers, "content-type": "application/sdp" },
    body: connection.localDescription?.sdp ?? "",
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  while (connection.connectionState !== "connected") await new Promise((done) => setTimeout(done, 10));
  begun = performance.now();
  if (silent) {
    volume.gain.setValueAtTime(0, audio.currentTime + silent[0]);
    volume.gain.setValueAtTime(0.3, audio.currentTime + silent[1]);
  }
  await new Promise((done) => setTimeout(done, seconds * 1_000));
  await fetch(answer.headers.get("location") ?? "", { method: "DELETE", headers });
  connection.close();
  clearInterval(paint);
  await audio.close();
}
