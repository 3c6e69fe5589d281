// The arrows inside web (ui, api, rtc ← features ← pages ← app; features never import each other) and where words and colours live.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("api/generated"))
  .map((name) => ({ name, text: readFileSync(join(src, name), "utf8") }));

/** What each room may use, besides itself. */
const MAY: Record<string, string[]> = {
  messages: [],
  rtc: [],
  api: [],
  ui: ["messages"],
  features: ["ui", "api", "rtc", "messages"],
  pages: ["features", "ui", "api", "rtc", "messages"],
  app: ["pages", "features", "ui", "api", "rtc", "messages"],
};

function imports(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
}

/** The path below src that an import means, or null for a package. */
function target(file: string, specifier: string): string | null {
  if (specifier.startsWith("@/")) return specifier.slice(2);
  if (specifier.startsWith(".")) return relative(src, resolve(src, dirname(file), specifier));
  return null;
}

it("imports go one way", () => {
  const wrong: string[] = [];
  for (const { name, text } of files) {
    const [room = "", feature] = name.split("/");
    for (const specifier of imports(text)) {
      const path = target(name, specifier);
      if (path === null) continue;
      const [other = "", otherFeature] = path.split("/");
      const allowed =
        other === room ? room !== "features" || feature === otherFeature : MAY[room]?.includes(other);
      if (!allowed) wrong.push(`${name} imports ${path}`);
    }
  }
  expect(wrong).toEqual([]);
});

it("packages stay in their rooms", () => {
  const rooms: [RegExp, (name: string) => boolean][] = [
    [/^hls\.js/, (name) => name.startsWith("rtc/")],
    [/^socket\.io-client/, (name) => name === "api/socket.ts"],
    [/^(radix-ui|media-chrome|lucide-react\/)/, (name) => name.startsWith("ui/")],
    [/^react/, (name) => !name.startsWith("rtc/")],
    [/^@tanstack/, (name) => !name.startsWith("rtc/") && !name.startsWith("ui/")],
  ];
  const wrong = files.flatMap(({ name, text }) =>
    imports(text)
      .filter((specifier) => rooms.some(([pattern, may]) => pattern.test(specifier) && !may(name)))
      .map((specifier) => `${name} imports ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

it("colours come from the tokens only", () => {
  const colour = /#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|\boklch\(/;
  const palette =
    /\b(?:bg|text|border|fill|stroke|ring|outline|from|to|via)-(?:white|black|(?:red|orange|amber|yellow|lime|green|emerald|teal|cyan|sky|blue|indigo|violet|purple|fuchsia|pink|rose|slate|gray|zinc|neutral|stone)-\d+)\b/;
  const wrong = files
    .filter(({ text }) => colour.test(text.replaceAll(/"#(?:content|key)[^"]*"/g, "")) || palette.test(text))
    .map(({ name }) => name);
  expect(wrong).toEqual([]);
});

it("no type is under 12 pixels", () => {
  const small = files
    .filter(({ text }) => /text-\[(?:[0-9]|1[01])(?:\.\d+)?px\]/.test(text))
    .map(({ name }) => name);
  expect(small).toEqual([]);
});

it("words are in the message files", () => {
  // Text between tags, and the attributes that people see or hear.
  const between = />\s*([A-Z][a-z]+(?: [a-z]+)+)[^<{]*</;
  const attribute = /\b(?:aria-label|title|placeholder|alt|label)="[A-Z][^"]*"/;
  const wrong = files
    .filter(({ name, text }) => name.endsWith(".tsx") && (between.test(text) || attribute.test(text)))
    .map(({ name }) => name);
  expect(wrong).toEqual([]);
});

it("files stay readable", () => {
  const long = files.filter(
    ({ name, text }) => !name.startsWith("messages/") && text.split("\n").length > 400,
  );
  expect(long.map(({ name }) => name)).toEqual([]);
});
