// What the page of webhooks asks for and changes. Components use these hooks, never the addresses.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type {
  Delivery,
  List,
  NewWebhook,
  Pinged,
  Replayed,
  ReplayWanted,
  Webhook,
  WebhookEdit,
  WebhookSecret,
} from "./generated/protocol";
import { call } from "./http";
import { need } from "./queries";

const address = (id: string, rest = "") => `/api/webhooks/${encodeURIComponent(id)}${rest}`;

/** All of them, again every two seconds: how much waits changes by itself. */
export function useWebhooks() {
  return useQuery({
    queryKey: ["webhooks"],
    queryFn: () => need(call<List<Webhook>>("/api/webhooks")),
    refetchInterval: 2_000,
    staleTime: 0,
  });
}

/** What was tried last, the newest first. */
export function useDeliveries(webhook: string) {
  return useQuery({
    queryKey: ["deliveries", webhook],
    queryFn: () => need(call<List<Delivery>>(address(webhook, "/deliveries"))),
    refetchInterval: 2_000,
    staleTime: 0,
  });
}

/** A change, after which the list is asked for again. */
function useChange<Wanted, Answer>(change: (wanted: Wanted) => Promise<Answer>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ["webhooks"] }),
        queries.invalidateQueries({ queryKey: ["deliveries"] }),
      ]),
  });
}

export const useMakeWebhook = () =>
  useChange((body: NewWebhook) => need(call<WebhookSecret>("/api/webhooks", { method: "POST", body })));

export const useEditWebhook = (id: string) =>
  useChange((body: WebhookEdit) => need(call<Webhook>(address(id), { method: "PATCH", body })));

export const useRemoveWebhook = (id: string) =>
  useChange(() => need(call<void>(address(id), { method: "DELETE" })));

export const useNewSecret = (id: string) =>
  useChange(() => need(call<WebhookSecret>(address(id, "/secret"), { method: "POST", body: {} })));

export const useTryWebhook = (id: string) =>
  useChange(() => need(call<Pinged>(address(id, "/test"), { method: "POST", body: {} })));

/** All that was asked for, however many calls it takes. */
export const useReplay = (id: string) =>
  useChange(async (wanted: ReplayWanted) => {
    let events = 0;
    let next: ReplayWanted | null = wanted;
    while (next) {
      const done: Replayed = await need(
        call<Replayed>(address(id, "/replay"), { method: "POST", body: next }),
      );
      events += done.events;
      next = done.next === null ? null : { fromId: done.next };
    }
    return events;
  });
