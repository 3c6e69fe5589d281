// Words about the disk and what is deleted from it; a part of en.ts.
export const storage = {
  label: "Storage",
  free: (free: string, total: string) => `${free} of ${total} free`,
  clips: (channels: string) => `Clips: ${channels}`,
  ofChannel: (channel: string, size: string) => `${channel} ${size}`,
  fullAt: (when: string) => `Full ${when} at this pace.`,
  on: (day: string) => `on ${day}`,
  low: "Little space is left. Recordings of clips that are stored are cleared away early.",
  full: "The disk is full. Nothing is recorded until there is space again; lives go on.",
  show: "What would be deleted",
  title: "What would be deleted",
  keepsAll: "Nothing. All clips are kept until somebody deletes them.",
  nothing: "Nothing at the moment.",
  sum: (clips: number, size: string) =>
    `${clips === 1 ? "1 clip" : `${clips} clips`}, ${size}, within a minute`,
  more: (clips: number) => `And ${clips} more.`,
  why: { age: "Too old", size: "Too much in its channel" },
  never:
    "Clips that are kept for good, published, made by somebody or not stored yet are never deleted by themselves.",
  failed: "This could not be read. Try again in a moment.",
  reading: "Looking",
};
