// Real Firefox plays the files that the server writes: every codec, cut and merged, to the picture.
import { test } from "@playwright/test";
import type { Browser } from "puppeteer-core";
import { expectPlayed, FILES, make, onlyVideo, play, publishAll, type Run } from "../support/files";
import { launchFirefox } from "../support/firefox";
import { Oxbow } from "../support/server";

let browser: Browser;
let oxbow: Oxbow;

test.beforeAll(async () => {
  [browser, oxbow] = await Promise.all([launchFirefox(), Oxbow.start({ CLIP_LENGTH: "60" })]);
  await publishAll(oxbow);
});

test.afterAll(async () => {
  await browser?.close();
  await oxbow?.remove();
});

for (const wanted of FILES) {
  test(`Firefox plays ${wanted.name}`, async () => {
    const file = await make(oxbow, wanted);
    const page = await browser.newPage();
    try {
      await page.goto(oxbow.url);
      await page.evaluate(onlyVideo);
      const run: Run = (task, argument) => page.$eval("video", task as never, argument) as never;
      expectPlayed(file, await play(run, file, false));
    } finally {
      await page.close();
    }
  });
}
