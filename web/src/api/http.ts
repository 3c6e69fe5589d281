// The one door to the REST addresses. Answers are unions, never throws; what the server refused keeps its code.
import { connection } from "./connection";
import type { Code } from "./generated/protocol";

/** Why a request did not work out. `network`: no answer at all. `broken`: an answer that is not Oxbow's. */
export type Failure = { code: Code | "network" | "broken"; status: number; detail: string };
export type Result<T> = { ok: true; value: T } | { ok: false; error: Failure };

type Options = {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  ifMatch?: number;
  signal?: AbortSignal;
  accept?: number;
};

/**
 * Sends a request to the server this page came from; a body goes and comes as JSON.
 * `accept` names a status that is an answer here, though it is a failure elsewhere.
 */
export async function call<T>(path: string, options: Options = {}): Promise<Result<T>> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.ifMatch !== undefined) headers["if-match"] = `"${options.ifMatch}"`;
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? "GET",
      headers,
      credentials: "same-origin",
      // What was decided is carried out even if the page is being left.
      keepalive: options.method === "DELETE",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (cause) {
    if (!options.signal?.aborted) connection.lost();
    return failure("network", 0, String(cause));
  }
  connection.works();
  if (response.status === 204) return { ok: true, value: undefined as T };
  const text = await response.text().catch(() => "");
  const body = parse(text);
  if (response.ok || response.status === options.accept) {
    return body === undefined ? failure("broken", response.status, text) : { ok: true, value: body as T };
  }
  const problem = (body ?? {}) as { code?: Code; detail?: string };
  return failure(problem.code ?? "broken", response.status, problem.detail ?? response.statusText);
}

function failure<T>(code: Failure["code"], status: number, detail: string): Result<T> {
  return { ok: false, error: { code, status, detail } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
