/** What the server takes for the name of a channel. */
export const CHANNEL = /^[a-z0-9-]{1,32}$/;
