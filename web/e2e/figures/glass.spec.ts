// How late a decoded picture is: two browsers through Oxbow against the same two connections without a server, one after the other, again and again.
//
// A canvas shows a number; the page remembers when it drew it. The receiving connection's decoded frames are read for the number before they are
// rendered, so neither the screen's clock nor the reader's drawing is part of it. Both ends are in one page: one clock.
import { test } from "@playwright/test";
import { KEY, Oxbow } from "../support/server";

const ROUNDS = 6;
const WARM_UP_MS = 4_000;
const MEASURED_MS = 8_000;

type Way = "direct" | "oxbow";
type Asked = { codec: string; way: Way; key: string; warmUpMs: number; measuredMs: number };

/** Milliseconds of each picture from the drawing to the decoded frame. Runs in the page, so it names nothing outside itself. */
async function glassToGlass({ codec, way, key, warmUpMs, measuredMs }: Asked): Promise<number[]> {
  const WIDTH = 640;
  const HEIGHT = 360;
  const BITS = 16;
  const BLOCK = WIDTH / BITS;
  type Reader = { readable: ReadableStream<VideoFrame> };
  const { MediaStreamTrackProcessor } = window as unknown as {
    MediaStreamTrackProcessor: new (options: { track: MediaStreamTrack; maxBufferSize: number }) => Reader;
  };

  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("no canvas");
  const stream = canvas.captureStream(0);
  const track = stream.getVideoTracks()[0] as CanvasCaptureMediaStreamTrack;
  const drawn = new Map<number, number>();
  let number = 0;
  let over = false;
  const draw = (): void => {
    if (over) return;
    number = (number + 1) % 2 ** BITS;
    context.fillStyle = `hsl(${number % 360} 60% 50%)`;
    context.fillRect(0, BLOCK, WIDTH, HEIGHT - BLOCK);
    context.fillStyle = "#fff";
    for (let i = 0; i < 40; i += 1) context.fillRect((number * (i + 3)) % WIDTH, BLOCK + i * 8, 60, 6);
    for (let bit = 0; bit < BITS; bit += 1) {
      context.fillStyle = (number >> bit) & 1 ? "#fff" : "#000";
      context.fillRect(bit * BLOCK, 0, BLOCK, BLOCK);
    }
    drawn.set(number, performance.now());
    track.requestFrame();
    // Out of step with every other clock of the browser.
    setTimeout(draw, 25 + Math.random() * 16);
  };

  const prefer = (transceiver: RTCRtpTransceiver, codecs: RTCRtpCodec[]): void => {
    const of = (mime: string) => codecs.filter((one) => one.mimeType.toLowerCase() === mime);
    transceiver.setCodecPreferences([...of(`video/${codec}`), ...of("video/rtx")]);
  };
  const gathered = (pc: RTCPeerConnection) =>
    new Promise<void>((resolve) => {
      if (pc.iceGatheringState === "complete") return resolve();
      pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && resolve());
    });
  const post = async (path: string, pc: RTCPeerConnection, bearer: string | null): Promise<void> => {
    await pc.setLocalDescription();
    await gathered(pc);
    const headers: Record<string, string> = { "content-type": "application/sdp" };
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    const response = await fetch(path, { method: "POST", headers, body: pc.localDescription?.sdp ?? "" });
    if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const resource = response.headers.get("location") ?? path;
    ends.push(() => fetch(resource, { method: "DELETE", headers }));
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
  };
  const ends: (() => Promise<unknown>)[] = [];
  const connected = (pc: RTCPeerConnection) =>
    new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (pc.connectionState === "connected") resolve();
        if (pc.connectionState === "failed") reject(new Error("a connection failed"));
      };
      pc.addEventListener("connectionstatechange", look);
      look();
    });

  const [sends, receives] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const sending = sends.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  prefer(sending, RTCRtpSender.getCapabilities("video")?.codecs ?? []);
  const received = new Promise<MediaStreamTrack>((resolve) =>
    receives.addEventListener("track", (event) => resolve(event.track)),
  );
  draw();
  if (way === "direct") {
    await sends.setLocalDescription();
    await gathered(sends);
    await receives.setRemoteDescription(sends.localDescription as RTCSessionDescription);
    await receives.setLocalDescription();
    await gathered(receives);
    await sends.setRemoteDescription(receives.localDescription as RTCSessionDescription);
  } else {
    await post("/whip/main", sends, key);
    await connected(sends);
    receives.addTransceiver("video", { direction: "recvonly" });
    await post("/whep/main", receives, null);
  }
  await connected(receives);

  const latencies: number[] = [];
  const reader = new MediaStreamTrackProcessor({
    track: await received,
    maxBufferSize: 1,
  }).readable.getReader();
  const from = performance.now() + warmUpMs;
  const until = from + measuredMs;
  while (performance.now() < until) {
    const { value: frame } = await reader.read();
    if (!frame) break;
    const now = performance.now();
    // The first plane of every format that decoders give is brightness.
    const planes = new Uint8Array(frame.allocationSize());
    const [luma] = await frame.copyTo(planes);
    const scale = frame.codedWidth / WIDTH;
    let read = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const x = Math.round((bit + 0.5) * BLOCK * scale);
      const y = Math.round((BLOCK / 2) * scale);
      const level = planes[(luma?.offset ?? 0) + y * (luma?.stride ?? 0) + x] ?? 0;
      if (level > 128) read |= 1 << bit;
    }
    frame.close();
    const at = drawn.get(read);
    if (now >= from && at !== undefined && now - at < 2_000) latencies.push(now - at);
  }
  over = true;
  await reader.cancel();
  for (const end of ends.reverse()) await end();
  sends.close();
  receives.close();
  track.stop();
  return latencies;
}

const percentile = (sorted: number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

for (const codec of ["h264", "vp8"]) {
  test(`glass to glass, ${codec}`, async ({ page }) => {
    const oxbow = await Oxbow.start({ RECORD_STREAMS: "false" });
    try {
      await page.goto(`${oxbow.url}/healthz`);
      const all: Record<Way, number[]> = { direct: [], oxbow: [] };
      const medians: Record<Way, number[]> = { direct: [], oxbow: [] };
      for (let round = 0; round < ROUNDS; round += 1) {
        // Whoever goes first does so half of the time.
        const ways: Way[] = round % 2 ? ["oxbow", "direct"] : ["direct", "oxbow"];
        for (const way of ways) {
          const asked = { codec, way, key: KEY, warmUpMs: WARM_UP_MS, measuredMs: MEASURED_MS };
          const latencies = await page.evaluate(glassToGlass, asked);
          all[way].push(...latencies);
          medians[way].push(
            percentile(
              latencies.toSorted((a, b) => a - b),
              0.5,
            ),
          );
        }
      }
      const round = (ms: number) => Math.round(ms * 100) / 100;
      const line = (way: Way) => {
        const sorted = all[way].toSorted((a, b) => a - b);
        return {
          pictures: sorted.length,
          p50_ms: round(percentile(sorted, 0.5)),
          p95_ms: round(percentile(sorted, 0.95)),
          p50_ms_of_rounds: medians[way].map(round),
        };
      };
      const [direct, through] = [line("direct"), line("oxbow")];
      const figures = JSON.stringify({
        case: "glass-to-glass",
        codec,
        direct,
        oxbow: through,
        difference_ms_p50: round(through.p50_ms - direct.p50_ms),
        difference_ms_p95: round(through.p95_ms - direct.p95_ms),
      });
      process.stdout.write(`${figures}\n`);
    } finally {
      await oxbow.remove();
    }
  });
}
