import { Store } from "./store";

/** The channel that this browser is sending to. Outside the studio, so that every page can say so. */
export const onAir = new Store<{ channel: string } | null>(null);

/** Where a tab keeps what it was sending while its page is loaded anew. */
export const LEFT = "oxbow.left";
