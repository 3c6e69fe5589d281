"""An independent WebRTC peer for the interoperability stories: aiortc publishes by WHIP and watches by WHEP.

    aiortc_peer.py publish URL KEY SECONDS
    aiortc_peer.py watch URL SECONDS

`publish` sends 640x360 pictures at 30/s that carry their number (the strip of pipeline::number) and a 440 Hz tone, and prints
`{"location": ..., "sent": n}` when it has deleted its session. `watch` prints `{"location": ..., "frames": n, "numbers": [...],
"audio": samples, "first_frame_ms": ms}`. Exit status 1 with `{"error": ..., "status": ...}` when the server refuses.
"""

import asyncio
import fractions
import json
import math
import sys
import time
from urllib.parse import urljoin

import aiohttp
import aioice.ice
import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError

# aioice leaves loopback out when it gathers; the stories run on nothing else.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

WIDTH, HEIGHT, BLOCKS = 640, 360, 24
STRIP = HEIGHT // 12


def checksum(number):
    nibbles = [(number >> shift) & 15 for shift in (16, 12, 8, 4, 0)]
    return (sum(n * f for n, f in zip(nibbles, (3, 5, 7, 11, 13))) + 9) % 16


def picture(number):
    """A grey picture with the number's strip on top and a bar that moves."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    bits = (number << 4) | checksum(number)
    row = bytearray()
    for block in range(BLOCKS):
        width = (block + 1) * WIDTH // BLOCKS - block * WIDTH // BLOCKS
        row += bytes([235 if (bits >> (BLOCKS - 1 - block)) & 1 else 16]) * width
    plain = bytearray([90]) * WIDTH
    bar = (number * 4) % (WIDTH - 40)
    plain[bar : bar + 40] = bytes([200]) * 40
    luma = frame.planes[0]
    stride = luma.line_size
    lines = [bytes(row if y < STRIP else plain).ljust(stride, b"\0") for y in range(HEIGHT)]
    luma.update(b"".join(lines))
    for plane in frame.planes[1:]:
        plane.update(bytes([128]) * (plane.line_size * plane.height))
    return frame


def read_number(frame):
    """The number of a decoded picture, or None."""
    luma = frame.reformat(format="yuv420p").planes[0]
    data, stride, width, strip = bytes(luma), luma.line_size, frame.width, frame.height // 12
    bits = 0
    for block in range(BLOCKS):
        first, last = (4 * block + 1) * width // (4 * BLOCKS), (4 * block + 3) * width // (4 * BLOCKS)
        total = count = 0
        for y in range(strip // 4, strip - strip // 4):
            line = data[y * stride + first : y * stride + last]
            total, count = total + sum(line), count + len(line)
        mean = total / count
        if 100 <= mean <= 150:
            return None
        bits = bits * 2 + (mean > 150)
    number = bits >> 4
    return number if checksum(number) == bits & 15 else None


class Numbers(VideoStreamTrack):
    def __init__(self):
        super().__init__()
        self.sent = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = picture(self.sent)
        frame.pts, frame.time_base = pts, time_base
        self.sent += 1
        return frame


class Tone(MediaStreamTrack):
    kind = "audio"
    SAMPLES = 960

    def __init__(self):
        super().__init__()
        self.at, self.start = 0, None

    async def recv(self):
        now = time.monotonic()
        self.start = self.start or now
        await asyncio.sleep(max(0, self.start + self.at / 48000 - now))
        frame = av.AudioFrame(format="s16", layout="mono", samples=self.SAMPLES)
        samples = (int(8000 * math.sin(2 * math.pi * 440 * (self.at + i) / 48000)) for i in range(self.SAMPLES))
        frame.planes[0].update(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
        frame.pts, frame.sample_rate, frame.time_base = self.at, 48000, fractions.Fraction(1, 48000)
        self.at += self.SAMPLES
        return frame


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


async def exchange(http, url, peer, headers):
    """Offer, POST, answer (RFC 9725): returns the session's address."""
    await peer.setLocalDescription(await peer.createOffer())
    body = peer.localDescription.sdp
    async with http.post(url, data=body, headers={"Content-Type": "application/sdp", **headers}) as response:
        text = await response.text()
        if response.status != 201:
            raise Refused(response.status, text)
        assert response.content_type == "application/sdp", response.content_type
        location = urljoin(url, response.headers["Location"])
    await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
    return location


async def publish(http, url, key, seconds):
    peer, numbers = RTCPeerConnection(), Numbers()
    peer.addTrack(Tone())
    peer.addTrack(numbers)
    authorization = {"Authorization": f"Bearer {key}"}
    location = await exchange(http, url, peer, authorization)
    await asyncio.sleep(seconds)
    async with http.delete(location, headers=authorization) as response:
        deleted = response.status
    await peer.close()
    return {"location": location, "sent": numbers.sent, "deleted": deleted}


async def watch(http, url, seconds):
    peer = RTCPeerConnection()
    peer.addTransceiver("audio", direction="recvonly")
    peer.addTransceiver("video", direction="recvonly")
    began, numbers, frames, samples, first, tasks = time.monotonic(), [], 0, 0, None, []

    async def pictures(track):
        nonlocal frames, first
        while True:
            frame = await track.recv()
            first = first or time.monotonic()
            frames += 1
            number = read_number(frame)
            if number is not None:
                numbers.append(number)

    async def sound(track):
        nonlocal samples
        while True:
            samples += (await track.recv()).samples

    @peer.on("track")
    def on_track(track):
        tasks.append(asyncio.ensure_future(pictures(track) if track.kind == "video" else sound(track)))

    location = await exchange(http, url, peer, {})
    await asyncio.sleep(seconds)
    async with http.delete(location) as response:
        deleted = response.status
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [r for r in results if isinstance(r, Exception) and not isinstance(r, (asyncio.CancelledError, MediaStreamError))]
    if broken:
        raise broken[0]
    await peer.close()
    return {
        "location": location, "deleted": deleted, "frames": frames, "numbers": numbers, "audio": samples,
        "first_frame_ms": None if first is None else round((first - began) * 1000),
    }


async def main(arguments):
    async with aiohttp.ClientSession() as http:
        if arguments[0] == "publish":
            return await publish(http, arguments[1], arguments[2], float(arguments[3]))
        return await watch(http, arguments[1], float(arguments[2]))


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(main(sys.argv[1:]))))
    except Refused as refused:
        print(json.dumps({"error": str(refused), "status": refused.status}))
        sys.exit(1)
