import type { ReactNode } from "react";
import { useSession } from "@/api/queries";
import { cn } from "@/ui/cn";
import { Block, Failed, Slow } from "@/ui/state";
import { KeyForm } from "./key-form";

/** A page for those who hold the stream key: who does not is asked for it. */
export function KeyGate({
  failed,
  keyFailed,
  busy = false,
  for: purpose = "operator",
  block = "h-40",
  children,
}: {
  /** What is said when nobody can tell whether the key is there. */
  failed: string;
  /** Why the key that came with the address was not taken. */
  keyFailed?: string | undefined;
  /** A key is being tried. */
  busy?: boolean;
  /** Why the key is asked for. */
  for?: "studio" | "operator";
  /** The size of what the page begins with. */
  block?: string;
  children: ReactNode;
}) {
  const session = useSession();
  if (busy || session.isPending) {
    return (
      <main id="content" className="p-[18px]">
        <Block className={cn("w-full max-w-[710px]", block)} />
        <Slow />
      </main>
    );
  }
  if (session.isError && !session.data) {
    return (
      <main id="content" className="mx-auto w-full max-w-[640px] px-3.5 py-10">
        <Failed text={failed} onAgain={() => void session.refetch()} />
      </main>
    );
  }
  return session.data?.streamer ? children : <KeyForm purpose={purpose} failed={keyFailed} />;
}
