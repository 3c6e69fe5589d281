// Reads the number that a picture carries (pipeline/src/number.rs) from a <video> on the page.
import type { Locator } from "@playwright/test";

/** The number of the frame that is shown, or null when there is none or it is damaged. */
export function frameNumber(video: Locator): Promise<number | null> {
  return video.evaluate(shownNumber);
}

/** Runs in the page of whatever browser, so it names nothing outside itself. */
export function shownNumber(element: Element): number | null {
  const source = element as HTMLVideoElement;
  const width = source.videoWidth;
  const height = source.videoHeight;
  if (width < 48 || height < 24) return null;
  const strip = height / 12;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.ceil(strip);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(source, 0, 0, width, height, 0, 0, width, height);
  let bits = 0;
  for (let block = 0; block < 24; block += 1) {
    const x = Math.floor(((block + 0.25) * width) / 24);
    const y = Math.floor(strip / 4);
    const { data } = context.getImageData(
      x,
      y,
      Math.max(1, Math.floor(width / 48)),
      Math.max(1, Math.floor(strip / 2)),
    );
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) {
      sum += 0.299 * (data[i] ?? 0) + 0.587 * (data[i + 1] ?? 0) + 0.114 * (data[i + 2] ?? 0);
    }
    const luma = sum / (data.length / 4);
    if (luma >= 100 && luma <= 150) return null;
    bits = bits * 2 + (luma > 150 ? 1 : 0);
  }
  const number = bits >>> 4;
  const factors = [3, 5, 7, 11, 13];
  const checksum =
    [16, 12, 8, 4, 0].reduce((sum, shift, i) => sum + ((number >>> shift) & 15) * (factors[i] ?? 0), 9) % 16;
  return checksum === (bits & 15) ? number : null;
}

/** Numbers as they are shown, one for each presented frame, for a while. Unreadable frames are null. */
export function frameNumbers(video: Locator, forMs: number): Promise<(number | null)[]> {
  return video.evaluate(shownNumbers, forMs);
}

/** Runs in the page of whatever browser, so it names nothing outside itself. */
export function shownNumbers(element: Element, milliseconds: number): Promise<(number | null)[]> {
  return new Promise<(number | null)[]>((resolve) => {
    const source = element as HTMLVideoElement;
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const seen: (number | null)[] = [];
    const until = performance.now() + milliseconds;
    const read = (): number | null => {
      const width = source.videoWidth;
      const height = source.videoHeight;
      if (!context || width < 48) return null;
      const strip = height / 12;
      canvas.width = width;
      canvas.height = Math.ceil(strip);
      context.drawImage(source, 0, 0);
      let bits = 0;
      for (let block = 0; block < 24; block += 1) {
        const x = Math.floor(((block + 0.5) * width) / 24);
        const [r = 0, g = 0, b = 0] = context.getImageData(x, Math.floor(strip / 2), 1, 1).data;
        const luma = 0.299 * r + 0.587 * g + 0.114 * b;
        if (luma >= 100 && luma <= 150) return null;
        bits = bits * 2 + (luma > 150 ? 1 : 0);
      }
      const number = bits >>> 4;
      const factors = [3, 5, 7, 11, 13];
      const checksum =
        [16, 12, 8, 4, 0].reduce((sum, shift, i) => sum + ((number >>> shift) & 15) * (factors[i] ?? 0), 9) %
        16;
      return checksum === (bits & 15) ? number : null;
    };
    const next = () => {
      seen.push(read());
      if (performance.now() < until) source.requestVideoFrameCallback(next);
      else resolve(seen);
    };
    source.requestVideoFrameCallback(next);
    setTimeout(() => resolve(seen), milliseconds + 2_000);
  });
}
