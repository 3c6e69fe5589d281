// Every REST address of the server, by name. Shapes come from the generated types.
import type {
  Broadcast,
  ChannelState,
  ChannelStats,
  Clip,
  Connection,
  ConnectionReport,
  List,
  Live,
  Page,
  Readiness,
  Requested,
  ServerInfo,
  Session,
} from "./generated/protocol";
import { call } from "./http";

export type ClipFilter = {
  channel?: string;
  broadcast?: string;
  text?: string;
  cursor?: string;
  limit?: number;
};

function query(values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

const at = encodeURIComponent;

export const api = {
  session: () => call<Session>("/api/session"),
  /** Swaps the key for a cookie that scripts cannot read. */
  signIn: (key: string) => call<void>("/api/session", { method: "POST", body: { key } }),
  signOut: () => call<void>("/api/session", { method: "DELETE" }),
  server: () => call<ServerInfo>("/api/server"),
  readiness: () => call<Readiness>("/readyz", { accept: 503 }),
  channels: () => call<List<Live>>("/api/channels"),
  channel: (channel: string) => call<ChannelState>(`/api/channels/${at(channel)}`),
  stats: (channel: string) => call<ChannelStats>(`/api/channels/${at(channel)}/stats`),
  requestClip: (channel: string) =>
    call<Requested>(`/api/channels/${at(channel)}/clip`, { method: "POST", body: {} }),
  stop: (broadcast: string) => call<void>(`/api/broadcasts/${at(broadcast)}/stop`, { method: "POST" }),
  connections: () => call<List<Connection>>("/api/connections"),
  connection: (session: string) => call<ConnectionReport>(`/api/connections/${at(session)}`),
  broadcast: (id: string) => call<Broadcast>(`/api/broadcasts/${at(id)}`),
  broadcasts: (limit: number) => call<Page<Broadcast>>(`/api/broadcasts${query({ limit })}`),
  clips: (filter: ClipFilter) => call<Page<Clip>>(`/api/clips${query(filter)}`),
  clip: (id: string) => call<Clip>(`/api/clips/${at(id)}`),
  renameClip: (id: string, title: string, revision: number) =>
    call<Clip>(`/api/clips/${at(id)}`, { method: "PATCH", body: { title }, ifMatch: revision }),
  retryClip: (id: string) => call<Clip>(`/api/clips/${at(id)}/retry`, { method: "POST" }),
  deleteClip: (id: string) => call<void>(`/api/clips/${at(id)}`, { method: "DELETE" }),
};
