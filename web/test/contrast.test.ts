// Recomputes the contrast of the design brief from the tokens themselves (WCAG 2.2), in both themes.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../src/ui/tokens.css", import.meta.url), "utf8");

function block(selector: string): Map<string, string> {
  const start = css.indexOf(`${selector} {`);
  const body = css.slice(css.indexOf("{", start) + 1, css.indexOf("}", start));
  return new Map([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})\b/gi)].map((m) => [m[1] ?? "", m[2] ?? ""]));
}

const light = block(":root");
const dark = new Map([...light, ...block(':root[data-theme="dark"]')]);

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

/** text, ground, and what the brief says for light and dark. */
const TEXT: [string, string, number, number][] = [
  ["ink", "bg", 14.7, 15.7],
  ["ink", "surface", 16.0, 14.7],
  ["ink-2", "bg", 7.4, 9.8],
  ["ink-2", "hover", 7.0, 8.0],
  ["ink-3", "bg", 5.1, 6.4],
  ["ink-3", "surface", 5.5, 6.0],
  ["ink-3", "raised", 5.7, 5.4],
  ["ink-3", "hover", 4.9, 5.2],
  ["ink-3", "kept-soft", 4.8, 4.9],
  ["water", "bg", 5.9, 9.3],
  ["water", "surface", 6.4, 8.7],
  ["water-2", "water-soft", 7.3, 8.5],
  ["on-water", "water-fill", 6.7, 7.4],
  ["live", "surface", 5.8, 8.0],
  ["live", "live-soft", 4.8, 7.1],
  ["on-live", "live-fill", 5.4, 5.4],
  ["kept", "surface", 6.9, 9.9],
  ["kept", "kept-soft", 6.0, 8.1],
  ["on-kept", "kept-fill", 8.5, 8.5],
  ["ok", "ok-soft", 5.3, 7.4],
  ["warn", "warn-soft", 5.8, 7.5],
  ["danger", "danger-soft", 6.0, 7.3],
  ["danger", "surface", 7.2, 8.0],
  ["stage-ink", "stage", 16.9, 16.9],
  ["stage-ink-2", "stage", 10.0, 10.0],
];

const SHAPES: [string, string, number, number][] = [
  ["line-2", "raised", 3.3, 3.0],
  ["kept-line", "bg", 3.2, 8.3],
  ["live-fill", "surface", 5.2, 3.2],
  ["water", "line", 4.8, 6.5],
];

describe.each([
  ["text", TEXT, 4.5],
  ["shapes", SHAPES, 3],
] as const)("%s", (_, rows, need) => {
  it.each(rows)("%s on %s", (front, back, inLight, inDark) => {
    for (const [theme, said] of [
      [light, inLight],
      [dark, inDark],
    ] as const) {
      const ratio = contrast(theme.get(front) ?? "", theme.get(back) ?? "");
      expect(ratio).toBeGreaterThanOrEqual(need - 0.05);
      expect(ratio).toBeCloseTo(said, 0);
    }
  });
});

it("white stays readable on every avatar", () => {
  for (let index = 1; index <= 6; index += 1) {
    expect(contrast("#ffffff", light.get(`avatar-${index}`) ?? "")).toBeGreaterThan(7);
  }
});

it("both themes name the same colours", () => {
  const themed = [...block(':root[data-theme="dark"]').keys()];
  expect(themed.filter((name) => !light.has(name))).toEqual([]);
});
