// Announcements of clips for a page that shows clips of many channels: one socket for each channel that is on air.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { placeClip } from "@/api/queries";
import { ChannelSocket } from "@/api/socket";

/** More channels than this are left to the list's own refresh. */
const MOST = 4;

/** `streamer`: also of clips that are not for everybody; the session has to hold the key. */
export function useFollowClips(channels: readonly string[], streamer: boolean): void {
  const queries = useQueryClient();
  const key = channels.slice(0, MOST).join(" ");
  useEffect(() => {
    const sockets = key
      .split(" ")
      .filter(Boolean)
      .map((channel) => {
        const socket = new ChannelSocket({ channel, streamer });
        socket.on("clip", ({ clip }) => placeClip(queries, clip));
        socket.onConnect(() => void socket.watch());
        return socket;
      });
    return () => {
      for (const socket of sockets) socket.close();
    };
  }, [key, streamer, queries]);
}
