// Lets a story look into the connections of a page. Each runs in the page of whatever browser before anything else, so it names nothing outside itself.

/** Keeps every connection in `window.connections`. */
export function keepConnections(): void {
  const kept: RTCPeerConnection[] = [];
  Object.assign(window, { connections: kept });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      kept.push(this);
    }
  };
}

/** Keeps each connection in `window.answered` as often as it was answered. */
export function countAnswers(): void {
  const answered: RTCPeerConnection[] = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    override setRemoteDescription(answer: RTCSessionDescriptionInit): Promise<void> {
      answered.push(this);
      return super.setRemoteDescription(answer);
    }
  };
  Object.assign(window, { answered });
}
