import { useDeferredValue } from "react";
import { useSearchParams } from "react-router";
import { RequestError, useConnectionReport, useConnections } from "@/api/queries";
import { Connections, matching } from "@/features/connections/list";
import { Report } from "@/features/connections/report";
import { KeyGate } from "@/features/studio/key-gate";
import { m } from "@/messages";
import { Field } from "@/ui/field";
import { useTitle } from "@/ui/hooks";
import { Block, Empty, Failed } from "@/ui/state";

/** For operators: which media sessions there are, and why one of them does not do what it should. */
export default function ConnectionsPage() {
  useTitle(m.app.title(m.connections.title));
  return (
    <KeyGate failed={m.connections.failed}>
      <Operator />
    </KeyGate>
  );
}

function Operator() {
  const [search, setSearch] = useSearchParams();
  const text = useDeferredValue(search.get("q") ?? "");
  const chosen = search.get("session");
  const list = useConnections();
  const found = matching(list.data?.items ?? [], text);
  const change = (name: string, value: string) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  return (
    <main
      id="content"
      className="mx-auto w-full max-w-[1600px] flex-1 px-3.5 pt-3 pb-14 tablet:px-6 tablet:pt-[18px]"
    >
      <h1 className="text-page">{m.connections.title}</h1>
      <p className="mt-1 text-dense text-ink-2">{m.connections.about}</p>
      {list.isPending && <Block className="mt-4 h-40 w-full" />}
      {list.isError && !list.data && (
        <div className="mt-4">
          <Failed text={m.connections.failed} onAgain={() => void list.refetch()} />
        </div>
      )}
      {list.data && list.data.items.length === 0 && (
        <Empty title={m.connections.none} text={m.connections.noneText} />
      )}
      {list.data && list.data.items.length > 0 && (
        <div className="mt-4 grid gap-5 laptop:grid-cols-[minmax(0,400px)_minmax(0,1fr)]">
          <div className="flex min-w-0 flex-col gap-3">
            <Field
              label={m.connections.search}
              type="search"
              value={search.get("q") ?? ""}
              onChange={(event) => change("q", event.target.value)}
              hint={m.connections.count(found.length, list.data.items.length)}
            />
            <div className="max-h-[70dvh] overflow-y-auto">
              <Connections items={found} chosen={chosen} onChoose={(one) => change("session", one)} />
            </div>
          </div>
          {chosen === null ? (
            <p className="text-reading text-ink-3">{m.connections.choose}</p>
          ) : (
            <Chosen key={chosen} session={chosen} />
          )}
        </div>
      )}
    </main>
  );
}

function Chosen({ session }: { session: string }) {
  const report = useConnectionReport(session);
  const gone = report.error instanceof RequestError && report.error.failure.code === "not_found";
  if (gone) return <p className="text-reading text-ink-3">{m.connections.gone(session)}</p>;
  if (report.data) return <Report report={report.data} />;
  if (report.isError) return <Failed text={m.connections.failed} onAgain={() => void report.refetch()} />;
  return <Block className="h-60 w-full" />;
}
