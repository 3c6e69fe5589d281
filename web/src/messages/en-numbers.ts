// How numbers stand in English sentences.
export const plural = (count: number, one: string, many: string) =>
  `${count.toLocaleString("en")}\u2009${count === 1 ? one : many}`;

export const duration = (ms: number) => {
  const seconds = Math.round(ms / 1_000);
  return seconds < 600
    ? `${seconds}\u2009s`
    : seconds < 7_200
      ? `${Math.round(seconds / 60)}\u2009min`
      : `${(seconds / 3_600).toFixed(1)}\u2009h`;
};
