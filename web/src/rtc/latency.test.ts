import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LatencyMeter } from "./latency";

const NTP = 2_208_988_800_000;
/** The server's clock is three seconds ahead of ours. */
const AHEAD = 3_000;
let told: (number | undefined)[];
let roundTrip: number;
let meter: LatencyMeter;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  roundTrip = 40;
  meter = new LatencyMeter(async (ms) => {
    told.push(ms);
    const half = roundTrip / 2;
    await new Promise((resolve) => setTimeout(resolve, half));
    const utcMs = Date.now() + AHEAD;
    await new Promise((resolve) => setTimeout(resolve, half));
    return { ok: true, utcMs };
  });
});

afterEach(() => vi.useRealTimers());

/** Pictures come `late` for so many seconds. */
async function play(seconds: number, late: (at: number) => number): Promise<void> {
  for (let i = 0; i < seconds * 2; i += 1) {
    meter.sample(Date.now() + AHEAD - late(i) + NTP, Date.now());
    await vi.advanceTimersByTimeAsync(500);
  }
}

it("is the time on the server's clock since the picture was taken", async () => {
  expect(meter.ms).toBeNull();
  await play(6, () => 180);
  expect(meter.ms).toBeCloseTo(180, 0);
});

it("believes the quickest exchange", async () => {
  await play(2, () => 100);
  roundTrip = 900;
  await play(30, () => 100);
  expect(meter.ms).toBeCloseTo(100, 0);
});

it("is not moved by one picture that was late", async () => {
  await play(10, (i) => (i === 15 ? 900 : 120));
  expect(meter.ms).toBeCloseTo(120, 0);
});

it("tells the server now and then, and nothing before it knows", async () => {
  await play(40, () => 150);
  expect(told[0]).toBeUndefined();
  expect(told.length).toBeLessThan(10);
  expect(told.at(-1)).toBeCloseTo(150, 0);
});

it("knows the server's clock alone where the browser does not tell", async () => {
  expect(meter.ahead).toBeNull();
  for (let i = 0; i < 10; i += 1) {
    meter.sample(null, Date.now());
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(meter.ms).toBeNull();
  expect(told.every((ms) => ms === undefined)).toBe(true);
  expect(meter.ahead).toBeCloseTo(AHEAD, 0);
});

it("leaves out what cannot be: a report of another clock", async () => {
  await play(5, () => 86_400_000);
  expect(meter.ms).toBeNull();
});
