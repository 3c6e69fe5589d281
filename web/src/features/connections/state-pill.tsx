import type { Connection } from "@/api/generated/protocol";
import { m } from "@/messages";
import { Pill } from "@/ui/pill";

const TONES = { new: "warn", connected: "ok", closed: "plain" } as const;

export function StatePill({ connection }: { connection: Connection }) {
  return (
    <Pill tone={TONES[connection.state]} data-connection={connection.state}>
      {m.connections.state[connection.state]}
    </Pill>
  );
}
