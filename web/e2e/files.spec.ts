// Real Chromium plays the files that the server writes: every codec, cut and merged, to the picture.
import { expectPlayed, FILES, make, onlyVideo, play, publishAll, type Run } from "./support/files";
import { expect, Oxbow, test } from "./support/test";

let oxbow: Oxbow;

test.beforeAll(async () => {
  test.setTimeout(120_000);
  oxbow = await Oxbow.start({ CLIP_LENGTH: "60" });
  await publishAll(oxbow);
});

test.afterAll(() => oxbow?.remove());

for (const wanted of FILES) {
  test(`Chromium plays ${wanted.name}`, async ({ page }, info) => {
    const file = await make(oxbow, wanted);
    await page.goto(oxbow.url);
    // Without a press a page makes no sound.
    await page.mouse.click(5, 5);
    await page.evaluate(onlyVideo);
    const run: Run = (task, argument) => page.locator("video").evaluate(task as never, argument);
    for (const muted of [false, true]) {
      const played = await play(run, file, muted);
      await info.attach(muted ? "muted" : "with sound", { body: JSON.stringify(played) });
      expectPlayed(file, played);
      expect(played.soundBytes).toBeGreaterThan(0);
    }
  });
}
