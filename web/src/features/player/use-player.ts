// One channel's socket and player for as long as the page is open. Socket and offer are made in the same moment.
import { useEffect, useState, useSyncExternalStore } from "react";
import { ChannelSocket } from "@/api/socket";
import { Player } from "@/rtc/player";
import { NOTHING_YET, type PlayerView } from "@/rtc/player-view";

export type Seat = { socket: ChannelSocket; player: Player };

const nothing = () => () => {};

/** `attempt` makes a new seat when it changes: the viewer pressed "Try again". */
export function useSeat(channel: string, attempt: number): Seat | null {
  const [seat, setSeat] = useState<Seat | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new attempt is a new seat
  useEffect(() => {
    const socket = new ChannelSocket({ channel, streamer: false });
    const player = new Player(socket);
    setSeat({ socket, player });
    return () => {
      player.close();
      socket.close();
    };
  }, [channel, attempt]);
  return seat;
}

export function usePlayerView(seat: Seat | null): PlayerView {
  return useSyncExternalStore(
    seat?.player.view.subscribe ?? nothing,
    seat?.player.view.snapshot ?? (() => NOTHING_YET),
  );
}
