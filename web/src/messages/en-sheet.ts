// Words of the sheet that keeps a clip; a part of en.ts.
export const clipSheet = {
  heading: "Keep a clip",
  tip: "Keeps what you just saw",
  title: (channel: string, time: string) => `${channel}, ${time}`,
  start: "Start of the clip",
  end: "End of the clip",
  at: (time: string) => `at ${time} of the broadcast`,
  chosen: (from: string, to: string, length: string) => `${from} – ${to}, ${length}`,
  lengths: "Length of the clip",
  seconds: (seconds: number) => `${seconds} s`,
  save: "Save clip",
  saving: "Saving the clip.",
  failed: "Could not save the clip. The recording is safe; try again.",
  tooOften: "Too many clips at once. Try again in a few seconds.",
};
