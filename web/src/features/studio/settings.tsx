import { Copy, ExternalLink } from "lucide-react";
import { m } from "@/messages";
import { Button } from "@/ui/button";
import { cn } from "@/ui/cn";
import { Field, Toggle } from "@/ui/field";
import { toast } from "@/ui/toast";

export const CHANNEL = /^[a-z0-9-]{1,32}$/;

/** Channel and picture format, chosen before going live; the address to hand out. */
export function Settings({
  channel,
  allBrowsers,
  locked,
  onChannel,
  onAllBrowsers,
  onSignOut,
}: {
  channel: string;
  allBrowsers: boolean;
  locked: boolean;
  onChannel: (next: string) => void;
  onAllBrowsers: (next: boolean) => void;
  onSignOut: () => void;
}) {
  const valid = CHANNEL.test(channel);
  const address = new URL(`/@${valid ? channel : "main"}`, location.href).href;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      toast({ text: m.studio.copied });
    } catch {
      toast({ text: m.studio.copyFailed, tone: "error" });
    }
  };
  return (
    <section
      aria-label={m.studio.settings}
      className={cn(
        "grid gap-x-6 gap-y-4",
        locked ? "rounded-control border border-line bg-surface p-3.5 laptop:grid-cols-2" : "gap-y-5",
      )}
    >
      {!locked && <h2 className="text-[17px] leading-[22px]">{m.studio.settings}</h2>}
      <Field
        label={m.studio.channel}
        value={channel}
        disabled={locked}
        maxLength={32}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        error={valid ? undefined : m.studio.channelWrong}
        hint={m.studio.channelHint}
        onChange={(event) => onChannel(event.target.value.toLowerCase())}
      />
      <div className="min-w-0">
        <p className="mb-[5px] text-dense font-control">{m.studio.address}</p>
        <div className="flex h-9 items-center gap-1">
          <span className="min-w-0 flex-1 truncate font-mono text-caption text-ink-2">{address}</span>
          <Button size="dense" onClick={() => void copy()} aria-label={m.studio.copy}>
            <Copy aria-hidden className="size-[15px]" strokeWidth={1.75} />
          </Button>
          <Button size="dense" asChild>
            <a href={address} target="_blank" rel="noreferrer" aria-label={m.studio.openPage}>
              <ExternalLink aria-hidden className="size-[15px]" strokeWidth={1.75} />
            </a>
          </Button>
        </div>
      </div>
      <Toggle
        label={m.studio.reachAll}
        hint={m.studio.reachAllHint}
        checked={allBrowsers}
        disabled={locked}
        onChange={onAllBrowsers}
      />
      {!locked && (
        <div className="border-t border-line pt-3">
          <Button size="dense" variant="quiet" className="-ml-2.5 text-ink-2" onClick={onSignOut}>
            {m.studio.signOut}
          </Button>
        </div>
      )}
    </section>
  );
}
