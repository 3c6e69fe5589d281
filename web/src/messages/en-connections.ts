// Words of the page of connections; a part of en.ts.
import { plural } from "./en-numbers";

export const connections = {
  title: "Connections",
  about: "Every media session of this server, those that are open first, then the last that closed.",
  list: "Media sessions",
  search: "Search",
  count: (found: number, all: number) =>
    found === all
      ? plural(all, "session", "sessions")
      : `${found.toLocaleString("en")} of ${plural(all, "session", "sessions")}`,
  choose: "Choose a session to see all that is known of it.",
  none: "No connections",
  noneText: "Nobody sends or watches, and nobody has since this server started.",
  failed: "Could not load the connections.",
  gone: (session: string) =>
    `${session} closed, and newer ones have taken its place in the memory of this server.`,
  line: (role: string, session: string, opened: string, address: string | null) =>
    [role, session, opened, address].filter((part) => part !== null).join(" · "),
  role: { publisher: "Streamer", viewer: "Viewer" },
  state: { new: "Connecting", connected: "Connected", closed: "Closed" },
  report: (session: string) => `Report of ${session}`,
  download: "Download report",
  way: "How far it came",
  opened: "Opened",
  path: "Path found (ICE)",
  dtls: "Keys agreed (DTLS)",
  firstPacket: "First packet",
  firstKeyframe: "First keyframe",
  closed: "Closed",
  notYet: "not yet",
  afterMs: (ms: string) => `after ${ms}\u2009ms`,
  afterS: (s: string) => `after ${s}\u2009s`,
  network: "Network",
  inUse: "In use",
  checked: "Checked",
  cipher: "Cipher",
  estimate: "Estimate",
  noLimit: "no limit met",
  mbit: (n: string) => `${n}\u2009Mbit/s`,
  packetsIn: "Packets in",
  packetsOut: "Packets out",
  withRate: (all: string, rate: string) => `${all}, ${rate}\u2009/s`,
  sources: "Sources",
  source: (mid: string, rid: string | null, height: number | null) =>
    [`mid ${mid}`, rid, height === null ? null : `${height}p`].filter((part) => part !== null).join(" · "),
  sourceFigures: (bitrate: string, lost: number, recovered: number) =>
    `${bitrate}, ${lost.toLocaleString("en")} lost, ${recovered.toLocaleString("en")} recovered`,
  drops: "Dropped, by reason",
  noDrops: "Nothing was dropped.",
  flight: "Flight record",
  noNotes: "Nothing but packets.",
  inFile: (packets: number, lost: number) =>
    `${plural(packets, "packet", "packets")} in the file${lost > 0 ? `, ${lost.toLocaleString("en")} older notes are gone` : ""}.`,
  offer: "Offer (SDP)",
  answer: "Answer (SDP)",
  sdpGone: "256 newer ones came since.",
};
