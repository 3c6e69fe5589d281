// A page that sends its sound twice (RED, RFC 2198): viewers get it as they take it, and the clip has it.
import type { Page } from "@playwright/test";
import type { Clip } from "../src/api/generated/protocol";
import { expect, KEY, Oxbow, test } from "./support/test";

type Side = Window & { connection: RTCPeerConnection };

/** Publishes camera and microphone by WHIP, or watches by WHEP, with these sound formats in this order. The answer. */
async function connect(page: Page, url: string, key: string | null, formats: string[]): Promise<string> {
  await page.goto("/about");
  // Else nothing may sound by itself.
  await page.locator("h1").click();
  return page.evaluate(
    async ([url, key, formats]) => {
      const connection = new RTCPeerConnection();
      Object.assign(window, { connection });
      const side = key ? RTCRtpSender : RTCRtpReceiver;
      const known = side.getCapabilities("audio")?.codecs ?? [];
      const wanted = formats.flatMap((name) => known.filter((one) => one.mimeType === `audio/${name}`));
      if (key) {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
        for (const track of stream.getTracks())
          connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      } else {
        const element = document.createElement("video");
        element.autoplay = true;
        const stream = new MediaStream();
        element.srcObject = stream;
        document.body.append(element);
        connection.ontrack = ({ track }) => stream.addTrack(track);
        for (const kind of ["audio", "video"]) connection.addTransceiver(kind, { direction: "recvonly" });
      }
      connection.getTransceivers()[0]?.setCodecPreferences(wanted);
      await connection.setLocalDescription();
      const headers = {
        "Content-Type": "application/sdp",
        ...(key ? { Authorization: `Bearer ${key}` } : {}),
      };
      const body = connection.localDescription?.sdp ?? "";
      const answered = await fetch(url, { method: "POST", headers, body });
      const sdp = await answered.text();
      await connection.setRemoteDescription({ type: "answer", sdp });
      return sdp;
    },
    [url, key, formats] as const,
  );
}

/** How much a viewer got of the sound, how large its packets are, and whether it is silence. */
async function heard(page: Page): Promise<{ packets: number; size: number; energy: number }> {
  return page.evaluate(async () => {
    const stats = await (window as unknown as Side).connection.getStats();
    const sound = [...stats.values()].find((one) => one.type === "inbound-rtp" && one.kind === "audio");
    const count = (name: string) => Number(sound?.[name] ?? 0);
    const packets = count("packetsReceived");
    return { packets, size: count("bytesReceived") / packets, energy: count("totalAudioEnergy") };
  });
}

test("sound that is sent twice is heard by all and recorded", async ({ browser }, info) => {
  const oxbow = await Oxbow.start();
  const context = await browser.newContext({ baseURL: oxbow.url, permissions: ["camera", "microphone"] });
  try {
    const streamer = await context.newPage();
    const answer = await connect(streamer, `${oxbow.url}/whip/main`, KEY, ["red", "opus"]);
    const opus = /a=rtpmap:(\d+) opus/.exec(answer)?.[1];
    const red = /a=rtpmap:(\d+) red/.exec(answer)?.[1];
    expect(answer).toContain(`m=audio 9 UDP/TLS/RTP/SAVPF ${red} ${opus}\r\n`);
    await expect
      .poll(() => streamer.evaluate(() => (window as unknown as Side).connection.connectionState))
      .toBe("connected");

    const [taking, plain] = [await context.newPage(), await context.newPage()];
    const usual = await connect(taking, `${oxbow.url}/whep/main`, null, ["opus", "red"]);
    expect(usual).toMatch(/m=audio 9 UDP\/TLS\/RTP\/SAVPF \d+ \d+\r\n/);
    expect(await connect(plain, `${oxbow.url}/whep/main`, null, ["opus"])).not.toContain(" red/48000");
    for (const viewer of [taking, plain]) {
      await expect.poll(async () => (await heard(viewer)).packets, { timeout: 15_000 }).toBeGreaterThan(100);
      await expect.poll(async () => (await heard(viewer)).energy).toBeGreaterThan(0);
    }
    const came = { taking: await heard(taking), plain: await heard(plain) };
    await info.attach("sound", { body: JSON.stringify(came) });
    expect(came.taking.size, "bytes a packet").toBeGreaterThan(came.plain.size * 1.5);

    const stored = async () => {
      const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?limit=100");
      return items.filter((clip) => clip.state === "stored");
    };
    await expect.poll(async () => (await stored()).length, { timeout: 30_000 }).toBeGreaterThan(0);
    const clip = (await stored()).at(-1);
    const sound = await plain.evaluate(async (address) => {
      const file = await (await fetch(address)).arrayBuffer();
      const audio = await new OfflineAudioContext(2, 1, 48_000).decodeAudioData(file);
      const loudest = audio.getChannelData(0).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
      return { seconds: audio.duration, loudest };
    }, clip?.media ?? "");
    expect(sound.seconds).toBeGreaterThan(2);
    expect(sound.loudest).toBeGreaterThan(0.01);
    await streamer.evaluate(() => (window as unknown as Side).connection.close());
  } finally {
    await context.close();
    await oxbow.remove();
  }
});
