import { Copy, ExternalLink } from "lucide-react";
import { CHANNEL } from "@/api/channel";
import { m } from "@/messages";
import type { VideoCodec } from "@/rtc/link";
import { sendable } from "@/rtc/publisher";
import { Button } from "@/ui/button";
import { Choice, Field } from "@/ui/field";
import { toast } from "@/ui/toast";

/** Channel and picture format, chosen before going live; the address to hand out. */
export function Settings({
  channel,
  codec,
  onChannel,
  onCodec,
  onSignOut,
}: {
  channel: string;
  codec: VideoCodec;
  onChannel: (next: string) => void;
  onCodec: (next: VideoCodec) => void;
  onSignOut: () => void;
}) {
  return (
    <section aria-label={m.studio.settings} className="grid gap-5">
      <h2 className="text-[17px] leading-[22px]">{m.studio.settings}</h2>
      <Field
        label={m.studio.channel}
        value={channel}
        maxLength={32}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        error={CHANNEL.test(channel) ? undefined : m.studio.channelWrong}
        hint={m.studio.channelHint}
        onChange={(event) => onChannel(event.target.value.toLowerCase())}
      />
      <div>
        <p className="mb-[5px] text-dense font-control">{m.studio.address}</p>
        <Address channel={channel} />
      </div>
      <Choice
        label={m.studio.format}
        hint={m.studio.formatHint}
        value={codec}
        options={sendable().map((value) => ({ value, label: m.studio.formatName[value] }))}
        onChange={onCodec}
      />
      <div className="border-t border-line pt-3">
        <Button size="dense" variant="quiet" className="-ml-2.5 text-ink-2" onClick={onSignOut}>
          {m.studio.signOut}
        </Button>
      </div>
    </section>
  );
}

/** Where viewers watch, to copy or to open. */
export function AddressBar({ channel }: { channel: string }) {
  return (
    <section
      aria-label={m.studio.address}
      className="flex items-center gap-x-4 rounded-control border border-line bg-surface py-2 pr-2 pl-3.5 max-tablet:py-1.5"
    >
      <h2 className="text-dense font-control max-laptop:hidden">{m.studio.address}</h2>
      <div className="min-w-0 flex-1">
        <Address channel={channel} />
      </div>
    </section>
  );
}

function Address({ channel }: { channel: string }) {
  const address = new URL(`/@${CHANNEL.test(channel) ? channel : "main"}`, location.href).href;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      toast({ text: m.studio.copied });
    } catch {
      toast({ text: m.studio.copyFailed, tone: "error" });
    }
  };
  return (
    <div className="flex min-h-9 items-center gap-1">
      <span className="min-w-0 flex-1 truncate font-mono text-caption text-ink-2">{address}</span>
      <Button size="dense" onClick={() => void copy()} aria-label={m.studio.copy} title={m.studio.copy}>
        <Copy aria-hidden className="size-[15px]" strokeWidth={1.75} />
      </Button>
      <Button size="dense" asChild>
        <a
          href={address}
          target="_blank"
          rel="noreferrer"
          aria-label={m.studio.openPage}
          title={m.studio.openPage}
        >
          <ExternalLink aria-hidden className="size-[15px]" strokeWidth={1.75} />
        </a>
      </Button>
    </div>
  );
}
