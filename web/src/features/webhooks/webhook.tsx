import { useState } from "react";
import type { Webhook } from "@/api/generated/protocol";
import {
  useDeliveries,
  useEditWebhook,
  useNewSecret,
  useRemoveWebhook,
  useReplay,
  useTryWebhook,
} from "@/api/webhooks";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { moment } from "@/ui/format";
import { Block, Failed } from "@/ui/state";
import { toast } from "@/ui/toast";
import { Deliveries } from "./deliveries";
import { WebhookForm } from "./form";
import { StatePill } from "./list";
import { ReplayForm } from "./replay";
import { SecretShown, Sure } from "./secret";
import { host, scope } from "./words";

type Open = "edit" | "rotate" | "remove" | "replay" | null;

const notDone = (error: Error) => toast({ text: m.webhooks.notDone(error.message), tone: "error" });

/** One webhook: what it is, what can be done with it, and what it was told. */
export function OneWebhook({ webhook, onRemoved }: { webhook: Webhook; onRemoved: () => void }) {
  const [open, setOpen] = useState<Open>(null);
  const [secret, setSecret] = useState<string>();
  const close = () => setOpen(null);
  const edit = useEditWebhook(webhook.id);
  const rotate = useNewSecret(webhook.id);
  const remove = useRemoveWebhook(webhook.id);
  const replay = useReplay(webhook.id);
  const again = {
    onSuccess: (events: number) => toast({ text: m.webhooks.queued(events) }),
    onError: notDone,
  };
  return (
    <article aria-labelledby="webhook" className="min-w-0">
      <div className="flex items-start gap-3">
        <h2 id="webhook" className="min-w-0 flex-1 text-[16px] leading-[22px] [overflow-wrap:anywhere]">
          {webhook.description || host(webhook.url)}
        </h2>
        <StatePill webhook={webhook} />
      </div>
      <p className="mt-1 font-mono text-caption text-ink-2 [overflow-wrap:anywhere]">{webhook.url}</p>
      <p className="num mt-1 text-dense text-ink-2">{[scope(webhook), waits(webhook)].join(m.app.and)}</p>
      {webhook.state === "paused" && <p className="mt-1 text-dense text-ink-3">{m.webhooks.pausedWhy}</p>}
      {webhook.state === "disabled" && (
        <p className="mt-1 text-dense text-danger">{m.webhooks.disabledWhy}</p>
      )}
      <Actions webhook={webhook} onOpen={setOpen} />
      <h3 className="mt-6 text-[15px] leading-5">{m.webhooks.deliveries}</h3>
      <Told
        id={webhook.id}
        mayRepeat={webhook.state !== "disabled" && !replay.isPending}
        onAgain={(event) => replay.mutate({ event }, again)}
      />
      {open === "edit" && (
        <WebhookForm
          webhook={webhook}
          busy={edit.isPending}
          error={edit.error?.message}
          onDone={(wanted) => edit.mutate(wanted, { onSuccess: close })}
          onClose={close}
        />
      )}
      {open === "rotate" && (
        <Sure
          title={m.webhooks.rotateTitle}
          text={m.webhooks.rotateText}
          action={m.webhooks.rotate}
          busy={rotate.isPending}
          onDo={() =>
            rotate.mutate(undefined, {
              onSuccess: (made) => setSecret(made.secret),
              onError: notDone,
              onSettled: close,
            })
          }
          onClose={close}
        />
      )}
      {open === "remove" && (
        <Sure
          danger
          title={m.webhooks.removeTitle}
          text={m.webhooks.removeText(webhook.waiting)}
          action={m.webhooks.remove}
          busy={remove.isPending}
          onDo={() =>
            remove.mutate(undefined, {
              onSuccess: () => {
                toast({ text: m.webhooks.removed });
                onRemoved();
              },
              onError: notDone,
            })
          }
          onClose={close}
        />
      )}
      {open === "replay" && (
        <ReplayForm
          busy={replay.isPending}
          onDone={(since) => replay.mutate({ since }, { ...again, onSettled: close })}
          onClose={close}
        />
      )}
      {secret !== undefined && <SecretShown rotated secret={secret} onClose={() => setSecret(undefined)} />}
    </article>
  );
}

function waits({ waiting, oldestWaitingAt }: Webhook): string {
  if (waiting === 0) return m.webhooks.nothingWaits;
  const oldest = oldestWaitingAt === null ? "" : `, ${m.webhooks.oldest(moment(oldestWaitingAt))}`;
  return m.webhooks.waiting(waiting) + oldest;
}

function Actions({ webhook, onOpen }: { webhook: Webhook; onOpen: (open: Open) => void }) {
  const edit = useEditWebhook(webhook.id);
  const test = useTryWebhook(webhook.id);
  const disabled = webhook.state === "disabled";
  const isActive = webhook.state === "active";
  return (
    <div className="mt-3 flex flex-wrap gap-2">
      <Button
        size="dense"
        disabled={disabled || test.isPending}
        onClick={() =>
          test.mutate(undefined, { onSuccess: () => toast({ text: m.webhooks.tested }), onError: notDone })
        }
      >
        {m.webhooks.test}
      </Button>
      <Button
        size="dense"
        disabled={edit.isPending}
        onClick={() => edit.mutate({ state: isActive ? "paused" : "active" }, { onError: notDone })}
      >
        {isActive ? m.webhooks.pause : m.webhooks.goOn}
      </Button>
      <Button size="dense" disabled={disabled} onClick={() => onOpen("replay")}>
        {m.webhooks.replay}
      </Button>
      <Button size="dense" onClick={() => onOpen("edit")}>
        {m.webhooks.edit}
      </Button>
      <Button size="dense" onClick={() => onOpen("rotate")}>
        {m.webhooks.newSecret}
      </Button>
      <Button size="dense" variant="danger" onClick={() => onOpen("remove")}>
        {m.webhooks.remove}
      </Button>
    </div>
  );
}

function Told({
  id,
  mayRepeat,
  onAgain,
}: {
  id: string;
  mayRepeat: boolean;
  onAgain: (event: string) => void;
}) {
  const deliveries = useDeliveries(id);
  if (deliveries.data) {
    return <Deliveries items={deliveries.data.items} mayRepeat={mayRepeat} onAgain={onAgain} />;
  }
  if (deliveries.isError) {
    return <Failed text={m.webhooks.failed} onAgain={() => void deliveries.refetch()} />;
  }
  return <Block className="mt-2 h-40 w-full" />;
}
