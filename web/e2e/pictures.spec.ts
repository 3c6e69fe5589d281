// What a recorded clip is looked at by: small pictures on its timeline, and words for what is wrong with it.
import { publishFlawed } from "./support/flawed";
import { broadcastClips, expect, expectAccessible, test } from "./support/test";

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

test("the timeline of a clip shows what is there", async ({ page, oxbow }) => {
  await broadcastClips(page, "pictures-test", 2);
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
  await publishFlawed(page, "dark-test", 7, { black: [0, 7], silent: [0, 7] });
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
