// A streamer of scalable video: the camera by WHIP in a codec and a scalability mode of the story's choice, which the studio does not offer.
import type { Page } from "@playwright/test";
import { expect, KEY } from "./test";

/** `mode` as W3C WebRTC-SVC names it; `bitrate` in bits per second. */
export async function publishLayered(
  page: Page,
  whip: string,
  codec: string,
  mode: string,
  bitrate?: number,
): Promise<void> {
  const answered = await page.evaluate(
    async ([url, key, name, scalabilityMode, maxBitrate]) => {
      const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
      const connection = new RTCPeerConnection();
      const encoding = { scalabilityMode, ...(maxBitrate === null ? {} : { maxBitrate }) };
      const transceiver = connection.addTransceiver(camera.getVideoTracks()[0] as MediaStreamTrack, {
        direction: "sendonly",
        sendEncodings: [encoding as RTCRtpEncodingParameters],
      });
      const all = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
      transceiver.setCodecPreferences(all.filter((one) => one.mimeType.toLowerCase() === `video/${name}`));
      Object.assign(window, { connection });
      const offer = await connection.createOffer();
      await connection.setLocalDescription(offer);
      const answer = await fetch(url, {
        method: "POST",
        headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/sdp" },
        body: offer.sdp ?? "",
      });
      await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      return { status: answer.status, sdp: answer.ok ? connection.remoteDescription?.sdp : "" };
    },
    [whip, KEY, codec, mode, bitrate ?? null] as const,
  );
  expect(answered.status).toBe(201);
  expect(answered.sdp).toContain("dependency-descriptor");
}
