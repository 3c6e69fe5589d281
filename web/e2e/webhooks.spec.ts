// An operator makes a webhook, sees what it was told, and tells it again; a page follows the same events over a restart.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  expect,
  expectAccessible,
  expectNoSidewaysScroll,
  KEY,
  testOnNewServer as test,
} from "./support/test";

type Told = { headers: IncomingHttpHeaders; body: string };

/** A receiver that answers as it is told to. */
class Receiver {
  readonly told: Told[] = [];
  status = 204;
  #server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      this.told.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(this.status).end();
    });
  });

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    receiver.#server.listen(0, "127.0.0.1");
    await once(receiver.#server, "listening");
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  get types(): string[] {
    return this.told.map(({ body }) => JSON.parse(body).type);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** As docs/events.md says. */
function isSigned({ headers, body }: Told, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const wanted = `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
  return String(headers["webhook-signature"]).split(" ").includes(wanted);
}

test("what is wrong with a webhook is said where it is, and has the focus", async ({ page }, info) => {
  await page.goto("/webhooks");
  await expect(page.getByRole("heading", { name: "For those who run this server" })).toBeVisible();
  await page.getByLabel("Stream key").fill(KEY);
  await page.getByRole("button", { name: "Open the page" }).click();
  await page.getByRole("button", { name: "New webhook" }).first().click();
  const make = page.getByRole("button", { name: "Make it" });
  const [address, channels] = [page.getByLabel("Address"), page.getByLabel("Channels")];
  await make.click();
  await expect(address).toBeFocused();
  await expect(address).toHaveAccessibleDescription("Give the address that is to be told.");
  await address.fill("not an address");
  await channels.fill("main, My_Channel");
  await make.click();
  await expect(channels).toBeFocused();
  await expect(channels).toHaveAccessibleDescription(/^“My_Channel” is no name of a channel/);
  await expectAccessible(page);
  await page.screenshot({ path: info.outputPath("wrong.png") });
  await channels.fill("main");
  await make.click();
  await expect(address).toBeFocused();
  await expect(address).toHaveAccessibleDescription(/https:\/\/example\.org/);
});

test("a webhook is made, tried, paused, told again and removed", async ({ page, oxbow }, info) => {
  const receiver = await Receiver.start();
  await page.goto(`/studio#key=${KEY}`);
  await page.getByRole("link", { name: "Webhooks" }).click();
  await expect(page.getByRole("heading", { name: "No webhooks" })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole("button", { name: "New webhook" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(dialog.getByText("Give the address that is to be told.")).toBeVisible();
  await dialog.getByLabel("Address").fill("http://169.254.169.254/latest");
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(dialog.getByText(/link-local/)).toBeVisible();
  await dialog.getByLabel("Address").fill(receiver.url);
  await dialog.getByLabel("Description").fill("Studio wall");
  await dialog.getByLabel("What it is told of").selectOption("Only some");
  for (const type of ["clip.ready", "clip.stored", "broadcast.ended"]) await dialog.getByLabel(type).check();
  await page.screenshot({ path: info.outputPath("form.png") });
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Make it" }).click();

  // Its secret, this once.
  await expect(dialog.getByRole("heading", { name: "The secret of this webhook" })).toBeVisible();
  const secret = await dialog.getByLabel("Secret").inputValue();
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/=]{44}$/);
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "I have kept it" }).click();
  await page.reload();
  expect(await page.content()).not.toContain(secret);

  const one = page.getByRole("article");
  const deliveries = one.getByRole("list", { name: "What it was told" }).getByRole("listitem");
  await expect(one.getByRole("heading", { name: "Studio wall" })).toBeVisible();
  await one.getByRole("button", { name: "Send a test" }).click();
  await expect(deliveries).toHaveCount(1);
  await expect(deliveries.first()).toContainText("webhook.ping");
  await expect(deliveries.first().locator("[data-delivery=delivered]")).toBeVisible();

  await oxbow.publish("wall", "vp8", 4);
  await expect(deliveries.filter({ hasText: "clip.stored" })).toHaveCount(1, { timeout: 20_000 });
  await expect(deliveries.filter({ hasText: "broadcast.ended" })).toHaveCount(1);
  expect(new Set(receiver.types)).toEqual(
    new Set(["webhook.ping", "clip.ready", "clip.stored", "broadcast.ended"]),
  );
  expect(receiver.told.every((told) => isSigned(told, secret))).toBe(true);

  // One that fails says why and goes on by itself.
  receiver.status = 503;
  await one.getByRole("button", { name: /^Send again: clip.stored/ }).click();
  await expect(deliveries.first()).toContainText("it answered 503 Service Unavailable");
  await expect(page.getByRole("list", { name: "Webhooks" }).locator("[data-webhook]")).toHaveText("Trying");
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 900 });
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => document.documentElement.setAttribute("data-theme", name), theme);
      await page.screenshot({ path: info.outputPath(`${width}-${theme}.png`), fullPage: true });
    }
    await expectNoSidewaysScroll(page);
    await expectAccessible(page);
  }
  receiver.status = 200;
  await expect(deliveries.locator("[data-delivery=waiting]")).toHaveCount(0, { timeout: 20_000 });

  await one.getByRole("button", { name: "Pause" }).click();
  await expect(one.getByText("What happens waits.", { exact: false })).toBeVisible();
  const before = receiver.told.length;
  await one.getByRole("button", { name: "Tell again" }).click();
  await dialog.getByRole("button", { name: "Tell again" }).click();
  await expect(dialog.getByText("Choose a day and a time.")).toBeVisible();
  await dialog.getByLabel("Everything since").fill("2024-01-01T00:00");
  await dialog.getByRole("button", { name: "Tell again" }).click();
  await expect(one.getByText("3 events waiting", { exact: false })).toBeVisible();
  expect(receiver.told.length).toBe(before);
  await one.getByRole("button", { name: "Make active" }).click();
  await expect(one.getByText("Nothing waits", { exact: false })).toBeVisible();
  expect(receiver.told.length).toBe(before + 3);

  // The former secret is good for a while beside the new one.
  await one.getByRole("button", { name: "New secret" }).click();
  await dialog.getByRole("button", { name: "Make a new secret" }).click();
  const next = await dialog.getByLabel("Secret").inputValue();
  expect(next).not.toBe(secret);
  await dialog.getByRole("button", { name: "I have kept it" }).click();
  await one.getByRole("button", { name: "Send a test" }).click();
  await expect.poll(() => receiver.told.length).toBe(before + 4);
  const last = receiver.told.at(-1) as Told;
  expect([isSigned(last, secret), isSigned(last, next)]).toEqual([true, true]);

  await one.getByRole("button", { name: "Change" }).click();
  await dialog.getByLabel("Description").fill("Another wall");
  await dialog.getByLabel("Channels").fill("@wall, side");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(one.getByRole("heading", { name: "Another wall" })).toBeVisible();
  await expect(one.getByText("only @wall, @side", { exact: false })).toBeVisible();

  await one.getByRole("button", { name: "Remove" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("heading", { name: "No webhooks" })).toBeVisible();
  receiver.stop();
});

test("a stranger sees no webhooks", async ({ page }) => {
  await page.goto("/webhooks");
  await expect(page.getByLabel("Stream key")).toBeVisible();
});

test("an EventSource goes on where it was when the server was killed", async ({ page, oxbow }) => {
  await page.goto(`/studio#key=${KEY}`);
  await expect(page.getByRole("button", { name: "Go live" })).toBeVisible();
  await page.evaluate(() => {
    const heard: { id: string; type: string; sequence: number; broadcast: string | null }[] = [];
    let gaps = 0;
    const source = new EventSource("/api/events?after=start");
    source.onmessage = ({ data }) => heard.push(JSON.parse(data));
    source.addEventListener("gap", () => {
      gaps += 1;
    });
    Object.assign(window, { heard: () => ({ heard, gaps }) });
  });
  type Heard = {
    heard: { id: string; type: string; sequence: number; broadcast: string | null }[];
    gaps: number;
  };
  const heard = () => page.evaluate(() => (window as unknown as { heard: () => Heard }).heard());
  const types = async () => (await heard()).heard.map(({ type }) => type);

  const interrupted = oxbow.publish("wire", "vp8", 15).catch(() => {});
  await expect.poll(types, { timeout: 20_000 }).toContain("clip.ready");
  await oxbow.down("SIGKILL");
  await oxbow.up();
  await expect
    .poll(async () => (await types()).filter((type) => type === "clip.inspected").length, { timeout: 30_000 })
    .toBeGreaterThanOrEqual(2);
  await expect.poll(types).toContain("broadcast.ended");
  const { heard: all, gaps } = await heard();
  expect(gaps).toBe(0);
  const ids = all.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)].sort());
  const started = all.find(({ type }) => type === "broadcast.started");
  const of = all.filter(({ broadcast }) => broadcast === started?.broadcast).map(({ sequence }) => sequence);
  expect(of).toEqual(of.map((_, index) => index + 1));
  await interrupted;
});
