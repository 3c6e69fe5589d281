/** Runs in the page: its next shared screen is a canvas that changes its colour. */
export function paintScreen(): void {
  navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = document.createElement("canvas");
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext("2d");
    setInterval(() => {
      if (!context) return;
      context.fillStyle = `hsl(${(performance.now() / 20) % 360} 60% 50%)`;
      context.fillRect(0, 0, 640, 360);
    }, 50);
    return canvas.captureStream(20);
  };
}
