import { m } from "@/messages";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { Field } from "@/ui/field";
import { toast } from "@/ui/toast";

/** Shows a secret, once. */
export function SecretShown({
  secret,
  rotated,
  onClose,
}: {
  secret: string;
  /** There was another one before. */
  rotated: boolean;
  onClose: () => void;
}) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      toast({ text: m.webhooks.copied });
    } catch {
      toast({ text: m.webhooks.notCopied, tone: "error" });
    }
  };
  return (
    <Dialog open onClose={onClose} title={m.webhooks.secretTitle} description={m.webhooks.secretText}>
      <div className="mt-2 flex flex-col gap-3.5">
        <Field
          label={m.webhooks.secret}
          value={secret}
          readOnly
          spellCheck={false}
          onFocus={(event) => event.target.select()}
          {...(rotated ? { hint: m.webhooks.secretRotated } : {})}
          suffix={<Button onClick={() => void copy()}>{m.webhooks.copy}</Button>}
        />
        <Button variant="water" className="self-end" onClick={onClose}>
          {m.webhooks.kept}
        </Button>
      </div>
    </Dialog>
  );
}

/** Asks before something that cannot be taken back. */
export function Sure({
  title,
  text,
  action,
  busy,
  danger = false,
  onDo,
  onClose,
}: {
  title: string;
  text: string;
  action: string;
  busy: boolean;
  danger?: boolean;
  onDo: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog open onClose={onClose} title={title} description={text}>
      <div className="mt-3 flex justify-end gap-2">
        <Button onClick={onClose}>{m.app.cancel}</Button>
        <Button variant={danger ? "danger" : "water"} disabled={busy} onClick={onDo}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
