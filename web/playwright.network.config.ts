import { defineConfig } from "@playwright/test";

// Stories with browsers that need an address of their own: run by scripts/network.sh. Playwright is only the runner; it does not drive
// Debian's Firefox.
export default defineConfig({
  testDir: "e2e/network",
  outputDir: "test-results",
  reporter: [["list"]],
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 120_000,
  expect: { timeout: 10_000 },
});
