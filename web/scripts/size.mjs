// Fails when the scripts of the first route weigh more than the design allows. Run after the build.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 140;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

const seen = new Set();
function collect(name) {
  const entry = manifest[name];
  if (!entry || seen.has(entry.file)) return;
  seen.add(entry.file);
  for (const other of entry.imports ?? []) collect(other);
}
collect("index.html");

let total = 0;
for (const file of seen) {
  if (!file.endsWith(".js")) continue;
  const bytes = gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
  total += bytes;
  console.log(`${(bytes / 1000).toFixed(1).padStart(8)} kB  ${file}`);
}
console.log(`${(total / 1000).toFixed(1).padStart(8)} kB  first route, gzip (limit ${LIMIT_KB})`);
if (total > LIMIT_KB * 1000) {
  console.error(`The first route is over ${LIMIT_KB} kB.`);
  process.exit(1);
}
