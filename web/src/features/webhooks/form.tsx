import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { CHANNEL } from "@/api/channel";
import { EVENT_TYPES, type NewWebhook, type Webhook } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { Choice, Field } from "@/ui/field";
import { names } from "./words";

type Part = "url" | "types" | "channels";

const INPUT: Record<Part, string> = {
  url: "input[type=url]",
  types: "fieldset input",
  channels: "input[name=channels]",
};

/** Asks for what a webhook is; of one that there is, for what changes. */
export function WebhookForm({
  webhook,
  error,
  busy,
  onDone,
  onClose,
}: {
  webhook?: Webhook;
  /** What the server said of what was sent. */
  error: string | undefined;
  busy: boolean;
  onDone: (wanted: Required<NewWebhook>) => void;
  onClose: () => void;
}) {
  const [url, setUrl] = useState(webhook?.url ?? "");
  const [description, setDescription] = useState(webhook?.description ?? "");
  const [channels, setChannels] = useState(webhook?.channels.join(", ") ?? "");
  const [types, setTypes] = useState<readonly string[]>(webhook?.types ?? []);
  const [what, setWhat] = useState<"all" | "some">(types.length === 0 ? "all" : "some");
  const [sent, setSent] = useState<string>();
  const [missing, setMissing] = useState<Part>();
  const form = useRef<HTMLFormElement>(null);
  const lacks = (part: Part) => {
    setMissing(part);
    form.current?.querySelector<HTMLElement>(INPUT[part])?.focus();
  };
  // What can be wrong beside the address was found here.
  useEffect(() => {
    if (error !== undefined) form.current?.querySelector<HTMLElement>(INPUT.url)?.focus();
  }, [error]);
  const wrongChannel = names(channels).find((name) => !CHANNEL.test(name));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMissing(undefined);
    if (url.trim() === "") return lacks("url");
    if (what === "some" && types.length === 0) return lacks("types");
    if (wrongChannel !== undefined) return lacks("channels");
    setSent(url);
    onDone({
      url: url.trim(),
      description: description.trim(),
      types: what === "all" ? [] : [...types],
      channels: names(channels),
    });
  };
  const tick = (type: string, on: boolean) =>
    setTypes((before) => EVENT_TYPES.filter((one) => (one === type ? on : before.includes(one))));
  return (
    <Dialog open onClose={onClose} title={webhook ? m.webhooks.editTitle : m.webhooks.makeTitle}>
      <form ref={form} noValidate onSubmit={submit} className="mt-1 flex flex-col gap-3.5">
        <Field
          label={m.webhooks.url}
          type="url"
          value={url}
          placeholder="https://"
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setUrl(event.target.value)}
          hint={m.webhooks.urlHint}
          error={missing === "url" ? m.webhooks.urlMissing : url === sent ? error : undefined}
        />
        <Field
          label={m.webhooks.description}
          value={description}
          maxLength={200}
          onChange={(event) => setDescription(event.target.value)}
          hint={m.webhooks.descriptionHint}
        />
        <Choice
          label={m.webhooks.what}
          value={what}
          options={[
            { value: "all", label: m.webhooks.all },
            { value: "some", label: m.webhooks.some },
          ]}
          onChange={setWhat}
        />
        {what === "some" && (
          <Types
            chosen={types}
            onTick={tick}
            error={missing === "types" ? m.webhooks.someMissing : undefined}
          />
        )}
        <Field
          label={m.webhooks.channelsField}
          value={channels}
          autoComplete="off"
          spellCheck={false}
          name="channels"
          onChange={(event) => setChannels(event.target.value)}
          hint={m.webhooks.channelsHint}
          error={
            missing === "channels" && wrongChannel !== undefined
              ? m.webhooks.channelWrong(wrongChannel)
              : undefined
          }
        />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{m.app.cancel}</Button>
          <Button type="submit" variant="water" disabled={busy}>
            {webhook ? m.webhooks.save : m.webhooks.create}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Types({
  chosen,
  onTick,
  error,
}: {
  chosen: readonly string[];
  onTick: (type: string, on: boolean) => void;
  error: string | undefined;
}) {
  const note = useId();
  return (
    <fieldset aria-describedby={error ? note : undefined}>
      <legend className="mb-[5px] text-dense font-control">{m.webhooks.eventTypes}</legend>
      <div className="grid grid-cols-1 gap-x-3 tablet:grid-cols-2">
        {EVENT_TYPES.map((type) => (
          <label key={type} className="flex min-h-7 items-center gap-2 text-dense max-tablet:min-h-11">
            <input
              type="checkbox"
              className="size-4 accent-water"
              checked={chosen.includes(type)}
              onChange={(event) => onTick(type, event.target.checked)}
            />
            <span className="font-mono text-caption">{type}</span>
          </label>
        ))}
      </div>
      {error && (
        <p id={note} className="mt-[5px] text-caption text-danger">
          {error}
        </p>
      )}
    </fieldset>
  );
}
