// What is said of a webhook in a line.
import type { Webhook } from "@/api/generated/protocol";
import { m } from "@/messages";

/** The host, which is what people know it by. */
export function host(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** What it is told of. */
export function scope(webhook: Webhook): string {
  const what = webhook.types.length === 0 ? m.webhooks.all : m.webhooks.types(webhook.types.length);
  if (webhook.channels.length === 0) return what;
  return [what, m.webhooks.channels(webhook.channels.map((name) => `@${name}`).join(", "))].join(m.app.and);
}

/** Names as they are typed: separated by commas or spaces, with or without an @. */
export function names(typed: string): string[] {
  const all = typed
    .split(/[\s,]+/)
    .map((name) => name.replace(/^@/, ""))
    .filter((name) => name !== "");
  return [...new Set(all)];
}
