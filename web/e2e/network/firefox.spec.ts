// Real Firefox publishes and watches, on a good network and through a bad one, in each codec that it has here.
import { expect, test } from "@playwright/test";
import type { Browser } from "puppeteer-core";
import { endInFirefox, frameNumbersInFirefox, goLiveInFirefox, launchFirefox } from "../support/firefox";
import { type Conditions, Relay } from "../support/relay";
import { expectRising, expectWholeClip } from "../support/rising";
import { freeMediaPort, Oxbow } from "../support/server";

/** Where scripts/network.sh puts this machine. */
const HERE = "10.77.0.1";

let streamer: Browser;
let viewer: Browser;

test.beforeAll(async () => {
  [streamer, viewer] = await Promise.all([launchFirefox(), launchFirefox()]);
});

test.afterAll(async () => {
  await streamer?.close();
  await viewer?.close();
});

const BAD = { seed: 7, loss: 5, delay: 10, jitter: 30 };

for (const { name, codec, conditions } of [
  { name: "a good network", codec: "vp8", conditions: { seed: 1 } },
  { name: "5 % loss and 30 ms of jitter", codec: "vp8", conditions: BAD },
  { name: "5 % loss and 30 ms of jitter", codec: "vp9", conditions: BAD },
  { name: "5 % loss and 30 ms of jitter", codec: "av1", conditions: BAD },
] satisfies { name: string; codec: "vp8" | "vp9" | "av1"; conditions: Conditions }[]) {
  test(`Firefox goes live and watches: ${codec}, ${name}`, async () => {
    const port = await freeMediaPort();
    const relay = await Relay.start(`${HERE}:0`, `${HERE}:${port}`, conditions);
    const oxbow = await Oxbow.start({ PEER_PORT: String(port), PEER_HOST: relay.address, CLIP_LENGTH: "60" });
    const studio = await streamer.newPage();
    const watch = await viewer.newPage();
    try {
      await goLiveInFirefox(studio, oxbow.url, { codec });
      await watch.goto(`${oxbow.url}/@main`);
      await watch.locator("[data-state=live]").setTimeout(20_000).wait();

      const last = await expectRising((ms) => frameNumbersInFirefox(watch, ms), 4);

      await endInFirefox(studio);
      await expectWholeClip(oxbow, codec, last);

      await oxbow.down();
      const check = oxbow.run("check");
      expect(check.status, check.output).toBe(0);
      const { up, down } = await relay.end();
      const loss = (conditions as Conditions).loss ?? 0;
      for (const { lost, datagrams } of [up, down]) {
        expect(datagrams, "media went through the relay").toBeGreaterThan(500);
        expect(lost / datagrams).toBeGreaterThanOrEqual((loss / 100) * 0.6);
      }
    } finally {
      await studio.close();
      await watch.close();
      await oxbow.remove();
      relay.kill();
    }
  });
}
