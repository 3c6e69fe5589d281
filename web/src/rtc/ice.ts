// Restarts ICE of a connection that stands: another network, the same session. Keys and counters go on, so the picture goes on where it
// stopped. When to do so is the drivers' decision.
import type { Link } from "./link";
import { iceFragment, withIce, withStereo } from "./sdp";

/** What the server needs to know a connection again, and the answer that it was opened with. */
export type Standing = { session: string; answer: string };

export type Restarted = { ok: true; standing: Standing } | { ok: false; gone: boolean };

export async function restartIce(pc: RTCPeerConnection, link: Link, standing: Standing): Promise<Restarted> {
  // Whatever took the path may have taken the socket as well.
  void link.check();
  try {
    const offer = await pc.createOffer({ iceRestart: true });
    const sdp = withStereo(offer.sdp ?? "");
    await pc.setLocalDescription({ type: "offer", sdp });
    const reply = await link.restartIce(standing.session, iceFragment(sdp));
    if (!reply.ok) {
      await pc.setLocalDescription({ type: "rollback" });
      return { ok: false, gone: reply.error.code === "not_found" };
    }
    const answer = withIce(standing.answer, reply.fragment);
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    return { ok: true, standing: { session: standing.session, answer } };
  } catch {
    // Closed meanwhile, or a browser that cannot: a whole reconnect follows.
    return { ok: false, gone: false };
  }
}

/** Calls back when media begins to go by another path than it began with, where the browser tells. */
export function onOtherPath(pc: RTCPeerConnection, moved: () => void): void {
  const ends = [...pc.getSenders(), ...pc.getReceivers()];
  const ice = ends.find((end) => end.transport)?.transport?.iceTransport;
  if (!ice || !("onselectedcandidatepairchange" in ice)) return;
  let chosen = false;
  ice.onselectedcandidatepairchange = () => {
    if (chosen) moved();
    chosen = true;
  };
}

/** Bytes of everything that came by the path of a connection, reports too; null where the browser does not tell. */
export function heard(stats: RTCStatsReport): number | null {
  const all = [...stats.values()];
  const transports = all.filter((report) => report.type === "transport");
  const counted =
    transports.length > 0 ? transports : all.filter((report) => report.type === "candidate-pair");
  const bytes = counted.map((report) => report.bytesReceived).filter((n) => typeof n === "number");
  return bytes.length > 0 ? bytes.reduce((sum, n) => sum + n, 0) : null;
}
