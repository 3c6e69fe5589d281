import { defineConfig } from "@playwright/test";
import stories from "./playwright.config";

// Figures, not tests: they take minutes, depend on the machine, and nothing is asserted of them.
export default defineConfig({
  ...stories,
  testDir: "e2e/figures",
  testIgnore: [],
  reporter: [["line"]],
  timeout: 15 * 60_000,
});
