// What a recorded clip is looked at by: small pictures on its timeline, and words for what is wrong with it.
import type { Page } from "@playwright/test";
import { endBroadcast, expect, expectAccessible, goLive, KEY, test } from "./support/test";

type Clip = { id: string; broadcast: string; storyboard: string | null; health: { score: number } | null };

async function lookedAt(api: <T>(path: string) => Promise<T>, channel: string): Promise<Clip> {
  let found: Clip | undefined;
  const look = async () => {
    const { items } = await api<{ items: Clip[] }>(`/api/clips?channel=${channel}`);
    // The last one may be shorter than what there is to find.
    found = items.at(-1);
    return found?.health ?? null;
  };
  await expect.poll(look, { timeout: 60_000 }).not.toBeNull();
  if (!found) throw new Error("there is a clip");
  return found;
}

/** Sends a black picture and a silent sound over WHIP for some seconds. */
async function publishNothing(page: Page, channel: string, seconds: number): Promise<void> {
  const send = async ([address, key, ms]: [string, string, number]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
    const context = canvas.getContext("2d");
    const paint = setInterval(() => context?.fillRect(0, 0, 640, 360), 33);
    const audio = new AudioContext();
    const silence = audio.createMediaStreamDestination();
    const nothing = new ConstantSourceNode(audio, { offset: 0 });
    nothing.connect(silence);
    nothing.start();
    const connection = new RTCPeerConnection();
    for (const track of [...canvas.captureStream(30).getTracks(), ...silence.stream.getTracks()]) {
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
    await new Promise((done) => setTimeout(done, ms));
    await fetch(answer.headers.get("location") ?? "", { method: "DELETE", headers });
    connection.close();
    clearInterval(paint);
    await audio.close();
  };
  await page.evaluate(send, [`/whip/${channel}`, KEY, seconds * 1_000] as [string, string, number]);
}

test("the timeline of a clip shows what is there", async ({ page, oxbow }) => {
  await goLive(page, "pictures-test");
  const saved = page.getByRole("region", { name: "Recording" }).getByRole("listitem");
  await expect.poll(() => saved.count(), { timeout: 30_000 }).toBeGreaterThan(1);
  await endBroadcast(page);
  const clip = await lookedAt(oxbow.api.bind(oxbow), "pictures-test");
  expect(clip.storyboard).not.toBeNull();
  await page.goto(`/c/${clip.id}`);
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByText(/^Health \d+$/)).toBeVisible();
  const timeline = dialog.locator("media-time-range");
  await expect(timeline).toBeVisible();
  const sheet = page.waitForResponse((response) => /\/storyboard\/0\.jpg/.test(response.url()));
  // The index is read when the track is first wanted.
  await expect
    .poll(async () => {
      const box = await timeline.boundingBox();
      if (!box) return null;
      await page.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
      await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
      return timeline.getAttribute("mediapreviewimage");
    })
    .toMatch(/\/storyboard\/0\.jpg#xywh=\d+,\d+,160,90$/);
  expect((await sheet).status()).toBe(200);
  expect((await sheet).headers()["content-type"]).toBe("image/jpeg");
});

test("a clip that shows and says nothing is told by words", async ({ page, oxbow }) => {
  await page.goto("/");
  // Without a press a page makes no sound, not even none.
  await page.mouse.click(5, 5);
  await publishNothing(page, "dark-test", 7);
  const clip = await lookedAt(oxbow.api.bind(oxbow), "dark-test");
  expect(clip.health?.score).toBeLessThan(20);
  await page.goto(`/library?broadcast=${clip.broadcast}`);
  const card = page.locator(`[data-clip="${clip.id}"]`);
  await expect(card.getByText(/^Black for \d+\s?s$/)).toBeVisible();
  await expect(card.getByText(/^Silent for \d+\s?s$/)).toBeVisible();
  await expectAccessible(page);
  const { items } = await oxbow.api<{ items: Clip[] }>("/api/clips?channel=dark-test&trouble=black&score=20");
  expect(items.map((item) => item.id)).toContain(clip.id);
});
