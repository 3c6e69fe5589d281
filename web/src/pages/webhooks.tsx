import { useState } from "react";
import { useSearchParams } from "react-router";
import { useMakeWebhook, useWebhooks } from "@/api/webhooks";
import { KeyGate } from "@/features/studio/key-gate";
import { WebhookForm } from "@/features/webhooks/form";
import { Webhooks } from "@/features/webhooks/list";
import { SecretShown } from "@/features/webhooks/secret";
import { OneWebhook } from "@/features/webhooks/webhook";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { useTitle } from "@/ui/hooks";
import { Block, Empty, Failed } from "@/ui/state";

/** For operators: which programs are told what happens, and what became of it. */
export default function WebhooksPage() {
  useTitle(m.app.title(m.webhooks.title));
  return (
    <KeyGate failed={m.webhooks.failed}>
      <Operator />
    </KeyGate>
  );
}

function Operator() {
  const [search, setSearch] = useSearchParams();
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string>();
  const list = useWebhooks();
  const make = useMakeWebhook();
  const chosen = search.get("webhook");
  const choose = (id: string | null) => setSearch(id === null ? {} : { webhook: id }, { replace: true });
  const items = list.data?.items ?? [];
  const one = items.find((webhook) => webhook.id === chosen);
  const begin = () => {
    make.reset();
    setMaking(true);
  };
  return (
    <main
      id="content"
      className="mx-auto w-full max-w-[1180px] flex-1 px-3.5 pt-3 pb-14 tablet:px-6 tablet:pt-[18px]"
    >
      <div className="flex flex-wrap items-start gap-3">
        <div className="min-w-0 flex-1">
          <h1 className="text-page">{m.webhooks.title}</h1>
          <p className="mt-1 text-dense text-ink-2">{m.webhooks.about}</p>
        </div>
        {items.length > 0 && (
          <Button variant="water" onClick={begin}>
            {m.webhooks.make}
          </Button>
        )}
      </div>
      {list.isPending && <Block className="mt-4 h-40 w-full" />}
      {list.isError && !list.data && (
        <div className="mt-4">
          <Failed text={m.webhooks.failed} onAgain={() => void list.refetch()} />
        </div>
      )}
      {list.data && items.length === 0 && (
        <Empty title={m.webhooks.none} text={m.webhooks.noneText}>
          <Button variant="water" onClick={begin}>
            {m.webhooks.make}
          </Button>
        </Empty>
      )}
      {items.length > 0 && (
        <div className="mt-4 grid gap-5 laptop:grid-cols-[minmax(0,380px)_minmax(0,1fr)]">
          <Webhooks items={items} chosen={chosen} onChoose={choose} />
          {one ? (
            <OneWebhook key={one.id} webhook={one} onRemoved={() => choose(null)} />
          ) : (
            <p className="text-reading text-ink-3">{chosen ? m.webhooks.gone : m.webhooks.choose}</p>
          )}
        </div>
      )}
      {making && (
        <WebhookForm
          busy={make.isPending}
          error={make.error?.message}
          onDone={(wanted) =>
            make.mutate(wanted, {
              onSuccess: (made) => {
                setMaking(false);
                setSecret(made.secret);
                choose(made.webhook.id);
              },
            })
          }
          onClose={() => setMaking(false)}
        />
      )}
      {secret !== undefined && (
        <SecretShown rotated={false} secret={secret} onClose={() => setSecret(undefined)} />
      )}
    </main>
  );
}
