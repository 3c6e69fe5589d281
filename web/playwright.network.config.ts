import { defineConfig } from "@playwright/test";

// Stories with browsers that need an address of their own, or networks to change: run by scripts/network.sh. Playwright does not drive
// Debian's Firefox; there it is only the runner.
export default defineConfig({
  testDir: "e2e/network",
  globalSetup: "./e2e/support/capture-setup.ts",
  outputDir: "test-results",
  reporter: [["list"]],
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 120_000,
  expect: { timeout: 10_000 },
});
