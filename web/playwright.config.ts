import { defineConfig } from "@playwright/test";
import { CHROMIUM } from "./e2e/support/chromium";

// The real server binary (OXBOW_BIN) and Debian's Chromium, with numbered pictures for a camera and a tone for a microphone.
export default defineConfig({
  testDir: "e2e",
  // Stories that need networks of their own: playwright.network.config.ts. Figures: playwright.figures.config.ts.
  testIgnore: ["network/**", "figures/**"],
  globalSetup: "./e2e/support/capture-setup.ts",
  outputDir: "test-results",
  reporter: process.env.CI ? [["list"]] : [["list"], ["html", { open: "never" }]],
  // One server, one browser: every test shares two cores with an encoder.
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 90_000,
  expect: { timeout: 10_000 },
  use: {
    viewport: { width: 1440, height: 900 },
    locale: "en-GB",
    // Recording traces takes more of two cores than a join may.
    trace: process.env.TRACE ? "retain-on-failure" : "off",
    screenshot: "only-on-failure",
    permissions: ["camera", "microphone"],
    launchOptions: CHROMIUM,
  },
});
