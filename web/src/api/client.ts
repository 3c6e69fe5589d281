// Every REST address of the server, by name. Shapes come from the generated types.
import type {
  Broadcast,
  BulkChange,
  BulkDone,
  ChannelState,
  ChannelStats,
  Clip,
  ClipAddress,
  ClipEdit,
  ClipTimeline,
  ClipWanted,
  Connection,
  ConnectionReport,
  List,
  Live,
  NewClip,
  Page,
  Readiness,
  Requested,
  RetentionReport,
  ServerInfo,
  Session,
  StorageReport,
} from "./generated/protocol";
import { call } from "./http";

export type ClipFilter = {
  channel?: string;
  broadcast?: string;
  text?: string;
  kind?: Clip["kind"];
  visibility?: Clip["visibility"];
  tag?: string;
  pinned?: boolean;
  /** Milliseconds since 1970: its first frame is at or after this. */
  from?: number;
  /** Before this. */
  to?: number;
  trouble?: "silent" | "black" | "frozen" | "gaps" | "recovered";
  state?: "waiting" | "failed";
  cursor?: string;
  limit?: number;
};

function query(values: Record<string, string | number | boolean | undefined>): string {
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
  storage: () => call<StorageReport>("/api/storage"),
  retention: () => call<RetentionReport>("/api/retention"),
  readiness: () => call<Readiness>("/readyz", { accept: 503 }),
  channels: () => call<List<Live>>("/api/channels"),
  channel: (channel: string) => call<ChannelState>(`/api/channels/${at(channel)}`),
  stats: (channel: string) => call<ChannelStats>(`/api/channels/${at(channel)}/stats`),
  requestClip: (channel: string) =>
    call<Requested>(`/api/channels/${at(channel)}/clip`, { method: "POST", body: {} }),
  /** A piece of what a channel showed. */
  clipOf: (channel: string, wanted: ClipWanted) =>
    call<Requested>(`/api/channels/${at(channel)}/clip`, { method: "POST", body: wanted }),
  stop: (broadcast: string) => call<void>(`/api/broadcasts/${at(broadcast)}/stop`, { method: "POST" }),
  connections: () => call<List<Connection>>("/api/connections"),
  connection: (session: string) => call<ConnectionReport>(`/api/connections/${at(session)}`),
  broadcast: (id: string) => call<Broadcast>(`/api/broadcasts/${at(id)}`),
  broadcasts: (limit: number) => call<Page<Broadcast>>(`/api/broadcasts${query({ limit })}`),
  clips: (filter: ClipFilter) => call<Page<Clip>>(`/api/clips${query(filter)}`),
  clip: (id: string, link?: string) => call<Clip>(`/api/clips/${at(id)}${query({ link })}`),
  /** Addresses that open a clip to whoever has them. */
  linkTo: (id: string) => call<ClipAddress>(`/api/clips/${at(id)}/link`, { method: "POST", body: {} }),
  editClip: (id: string, edit: ClipEdit, revision: number) =>
    call<Clip>(`/api/clips/${at(id)}`, { method: "PATCH", body: edit, ifMatch: revision }),
  /** The picture of a moment of the clip becomes its poster. */
  coverAt: (id: string, atMs: number) =>
    call<Clip>(`/api/clips/${at(id)}/posters`, { method: "POST", body: { atMs } }),
  bulk: (change: BulkChange) => call<List<BulkDone>>("/api/clips/bulk", { method: "POST", body: change }),
  /** Something new is made of recordings; the answer is the clip that it will be. */
  makeClip: (wanted: NewClip) => call<Clip>("/api/clips", { method: "POST", body: wanted }),
  timeline: (id: string) => call<ClipTimeline>(`/api/clips/${at(id)}/timeline`),
  retryClip: (id: string) => call<Clip>(`/api/clips/${at(id)}/retry`, { method: "POST" }),
  deleteClip: (id: string) => call<void>(`/api/clips/${at(id)}`, { method: "DELETE" }),
};
