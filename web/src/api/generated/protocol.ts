// Generated from signaling/src/view.rs, signaling/src/view/ and signaling/src/socket/event.rs.
// Do not edit: run `cargo run -p signaling --example types`.

/**
 * A list, newest first. `next` is the cursor of the page that follows, absent on the last one.
 */
export type Page<T> = { items: Array<T>, next: string | null, 
/**
 * True while the database is away: these are only the clips of the server's own disk. Absent otherwise.
 */
partial?: boolean, };

/**
 * A list that is always whole.
 */
export type List<T> = { items: Array<T>, };

/**
 * The closed list of what can be wrong, as programs read it.
 */
export type Code = "bad_key" | "key_required" | "malformed_offer" | "no_common_codec" | "channel_busy" | "not_live" | "not_found" | "gone" | "invalid" | "too_large" | "unsupported_media_type" | "method_not_allowed" | "range_not_satisfiable" | "rate_limited" | "conflict" | "precondition_required" | "away" | "full" | "shutting_down" | "forbidden" | "internal";

/**
 * RFC 9457. `code` is for programs, `detail` for people.
 */
export type Problem = { type: string, title: string, status: number, detail: string, code: Code, };

/**
 * A channel that is on air, or whose streamer has dropped and may still come back.
 */
export type Live = { channel: string, broadcast: string, state: LiveState, startedAt: number, viewers: number, recording: boolean, 
/**
 * "vp8", "vp9", "h264" or "av1"; null while no picture has come.
 */
video: string | null, 
/**
 * "opus"; null while no sound has come.
 */
audio: string | null, 
/**
 * Pixels, 0 while unknown.
 */
width: number, height: number, 
/**
 * Heights in pixels of the pictures that a viewer may choose from, the largest first; empty where there is no choice.
 */
heights: Array<number>, };

export type LiveState = "live" | "reconnecting";

export type AirState = "live" | "reconnecting" | "offline";

export type ChannelState = { channel: string, state: AirState, live: Live | null, lastBroadcast: Broadcast | null, };

/**
 * One live from start to end, across reconnects.
 */
export type Broadcast = { id: string, channel: string, title: string, startedAt: number, 
/**
 * Null while it goes on.
 */
endedAt: number | null, durationMs: number, 
/**
 * "stopped", "dropped", "shutdown"; null while it goes on.
 */
endReason: string | null, live: boolean, };

/**
 * A kept piece of a broadcast.
 */
export type Clip = { id: string, broadcast: string, channel: string, 
/**
 * Counts from 0 within the broadcast.
 */
part: number, title: string, 
/**
 * Why it was cut: "size", "length", "request", "end", "interrupted", "recovered".
 */
cause: string, 
/**
 * Wall clock of its first frame.
 */
startedAt: number, durationMs: number, 
/**
 * For example "video/mp4".
 */
mime: string, video: string | null, audio: string | null, width: number, height: number, size: number, 
/**
 * Of the media file, 64 hexadecimal digits.
 */
sha256: string, state: ClipState, 
/**
 * Why the last step failed, for people; null when nothing is wrong.
 */
error: string | null, 
/**
 * Media missing inside: lost packets, gaps, the tail of a crash.
 */
lostMs: number, 
/**
 * What proves that nothing is missing between this clip and the one before it; null until its file is there, and for clips of
 * an older Oxbow.
 */
continuity: Continuity | null, createdAt: number, 
/**
 * Counts the edits; also the ETag of the clip.
 */
revision: number, 
/**
 * Address of the file.
 */
media: string, 
/**
 * Address of the poster (JPEG), null for a clip of sound only.
 */
poster: string | null, 
/**
 * Address of the page that plays it.
 */
watch: string, kind: ClipKind, 
/**
 * Lines; may be empty.
 */
description: string, tags: Array<string>, links: Array<WebLink>, visibility: Visibility, 
/**
 * Null while it is not published.
 */
publishedAt: number | null, 
/**
 * Kept for good.
 */
pinned: boolean, 
/**
 * Place on the broadcast's timeline, milliseconds since its media began.
 */
fromMs: number, toMs: number, 
/**
 * What a made clip was made from; null for a part of the recording.
 */
recipe: Recipe | null, 
/**
 * Null until it was measured.
 */
health: Health | null, 
/**
 * Posters to choose from, the best first.
 */
posters: Array<PosterChoice>, 
/**
 * Address of the storyboard (WebVTT), null while there is none.
 */
storyboard: string | null, 
/**
 * Address of the peaks of the sound, null while there are none.
 */
waveform: string | null, };

/**
 * The units of a clip, and the clip before it.
 */
export type Continuity = { tracks: Array<TrackContinuity>, 
/**
 * Null for the first clip of a broadcast, and until it is known.
 */
before: ClipBefore | null, };

export type ClipBefore = { clip: string, part: number, 
/**
 * Of its file, 64 hexadecimal digits.
 */
sha256: string, };

/**
 * One track of a clip. Access units are counted from 0 since the broadcast began.
 */
export type TrackContinuity = { track: number, codec: string, firstUnit: number, 
/**
 * Inclusive.
 */
lastUnit: number, 
/**
 * In the file.
 */
units: number, 
/**
 * Received, not in the file: nobody could show them.
 */
unshown: number, 
/**
 * Not kept: the server's disk did not take them.
 */
givenUp: number, 
/**
 * Extended RTP sequence numbers.
 */
firstSeq: number, lastSeq: number, 
/**
 * Wall clock of the first and the last unit, milliseconds.
 */
firstAt: number, lastAt: number, 
/**
 * Milliseconds since the broadcast's media began: start of the first unit, end of the last.
 */
fromMs: number, toMs: number, 
/**
 * Time that is filled.
 */
mediaMs: number, longestGapMs: number, };

/**
 * Where a clip is on its way from the spool to the store. It is playable from `Queued` on.
 */
export type ClipState = "exporting" | "queued" | "uploading" | "verified" | "stored" | "failed";

export type ClipKind = "part" | "made";

/**
 * What somebody changes about a clip; what is absent stays as it is.
 */
export type ClipEdit = { title?: string, description?: string, 
/**
 * All of them; they are trimmed and put into lower case.
 */
tags?: Array<string>, 
/**
 * All of them.
 */
links?: Array<WebLink>, visibility?: Visibility, pinned?: boolean, 
/**
 * Index into `posters`.
 */
poster?: number, };

/**
 * Opens one clip to whoever holds it, until it ends.
 */
export type ClipAddress = { 
/**
 * Address of the page that plays it.
 */
page: string, 
/**
 * Address of the file.
 */
media: string, 
/**
 * For the query of any other address of the clip (`?link=`).
 */
link: string, expiresAt: number, };

/**
 * Who may see a clip besides those who hold the key.
 */
export type Visibility = "hidden" | "link" | "published";

export type WebLink = { title: string, 
/**
 * Begins with http:// or https://.
 */
url: string, };

/**
 * How a clip was made.
 */
export type Recipe = { pieces: Array<Piece>, 
/**
 * "fast" or "exact".
 */
precision: string, 
/**
 * "original", "compatible" or "audio".
 */
format: string, };

/**
 * A range of a broadcast, milliseconds since its media began.
 */
export type Piece = { broadcast: string, fromMs: number, 
/**
 * Null: as far as it was recorded.
 */
toMs: number | null, };

/**
 * How good a clip is, measured.
 */
export type Health = { 
/**
 * 0 to 100; 100: nothing was found.
 */
score: number, blackMs: number, frozenMs: number, silentMs: number, 
/**
 * Flashes that may harm people (WCAG 2.3.1).
 */
flashingMs: number, 
/**
 * Pictures that do not decode, each to the next keyframe.
 */
spoiltMs: number, 
/**
 * LUFS (EBU R 128); null without sound.
 */
loudness: number | null, 
/**
 * Positive: the sound is late. Null where picture or sound is missing.
 */
avOffsetMs: number | null, 
/**
 * Where it is, in order of time; the longest ones where there are many.
 */
findings: Array<Finding>, };

/**
 * One place in a clip, milliseconds of its own time.
 */
export type Finding = { kind: FindingKind, fromMs: number, toMs: number, };

export type FindingKind = "black" | "frozen" | "held" | "silent" | "flashing" | "spoilt";

export type PosterChoice = { 
/**
 * Address of the picture (JPEG).
 */
url: string, 
/**
 * Place in the clip.
 */
atMs: number, 
/**
 * It is the clip's poster.
 */
chosen: boolean, };

/**
 * The server as a visitor may know it.
 */
export type ServerInfo = { version: string, recordStreams: boolean, clipLengthMs: number, clipSizeBytes: number, storage: StorageKind, database: DatabaseKind, 
/**
 * Parts that do not answer at the moment: "database", "storage".
 */
away: Array<string>, };

export type StorageKind = "folder" | "s3";

export type DatabaseKind = "sqlite" | "mongo";

/**
 * Who the browser is, as `GET /api/session` says.
 */
export type Session = { streamer: boolean, };

/**
 * What the server receives from the streamer, for the health column.
 */
export type ChannelStats = { channel: string, broadcast: string, state: LiveState, startedAt: number, viewers: number, recording: boolean, tracks: Array<TrackFigures>, 
/**
 * Clips of this broadcast that are complete (playable).
 */
clipsSaved: number, 
/**
 * How long the clip that is being recorded is by now; null when nothing is recorded.
 */
currentClipMs: number | null, };

export type TrackFigures = { track: number, kind: TrackKind, 
/**
 * "vp8", "vp9", "h264", "av1" or "opus".
 */
codec: string, width: number, height: number, 
/**
 * 0 for pictures.
 */
channels: number, 
/**
 * Bits per second over the last second.
 */
bitrate: number, packets: number, lost: number, frames: number, keyframes: number, jitterMs: number, };

export type TrackKind = "video" | "audio";

/**
 * `GET /readyz`.
 */
export type Readiness = { ready: boolean, away: Array<AwayPart>, };

export type AwayPart = { 
/**
 * "database" or "storage".
 */
part: string, since: number, error: string, };

/**
 * A clip was asked for; the event `clip` announces it when it can be played.
 */
export type Requested = { 
/**
 * Of the request.
 */
requested: string, 
/**
 * The clip that is being made of a range; absent when the running part is cut at the next keyframe.
 */
clip?: Clip, 
/**
 * Opens it to a viewer who asked for it; absent for the holder of the key, to whom everything is open.
 */
address?: ClipAddress, };

/**
 * A clip made of pieces of recordings.
 */
export type NewClip = { title?: string, visibility?: "hidden" | "link" | "published", 
/**
 * In the order in which they are shown; 1 to 64.
 */
pieces: Array<NewPiece>, precision?: "fast" | "exact", format?: "original" | "compatible" | "audio", };

/**
 * A place in a clip.
 */
export type Moment = { 
/**
 * Milliseconds of the clip's own time; the first picture at or after it is meant.
 */
atMs: number, };

/**
 * A range of a broadcast's time or of a clip's own. Without an end, all there is.
 */
export type NewPiece = { 
/**
 * This or `clip`.
 */
broadcast?: string, clip?: string, fromMs?: number, toMs?: number, };

/**
 * Milliseconds since the media of the clip's broadcast began, with fractions. A clip that was made of several pieces has a time of its own, from 0 on.
 */
export type ClipTimeline = { 
/**
 * None: the times are the clip's own.
 */
broadcast: string | null, fromMs: number, toMs: number, 
/**
 * How far the recording can be cut on either side; at least the clip itself.
 */
keptFromMs: number, keptToMs: number, 
/**
 * Where a fast cut can begin, up to three minutes around the clip; empty when nothing of its recording is left that tells.
 */
keyframesMs: Array<number>, };

export type StorageReport = { disk: DiskReport, 
/**
 * Of all journals, those included whose clips are stored.
 */
journalBytes: number, 
/**
 * Of finished clips on their way to the store.
 */
spoolBytes: number, 
/**
 * Stored clips, by channel; null while the database is away.
 */
channels: Array<ChannelStorage> | null, outbox: OutboxReport, 
/**
 * What needed somebody's attention lately, oldest first.
 */
alarms: Array<AlarmReport>, };

/**
 * The volume of the server's data folder. All zero in the first seconds.
 */
export type DiskReport = { totalBytes: number, freeBytes: number, 
/**
 * Below it space is made.
 */
softBytes: number, 
/**
 * Below it nothing is recorded.
 */
hardBytes: number, state: DiskState, 
/**
 * When recording would stop if the disk filled as it does now; null when it does not fill.
 */
fullAt: number | null, };

export type DiskState = "ok" | "low" | "full";

export type ChannelStorage = { channel: string, clips: number, bytes: number, 
/**
 * Those of them that are kept for good, published, or made by somebody.
 */
keptClips: number, keptBytes: number, };

/**
 * Finished clips that are not stored yet.
 */
export type OutboxReport = { 
/**
 * Every state that a clip can wait in, 0 included.
 */
states: Array<OutboxState>, 
/**
 * When the oldest that waits was made; null when none does.
 */
oldestAt: number | null, };

export type OutboxState = { state: ClipState, clips: number, };

export type AlarmReport = { at: number, 
/**
 * Null when it concerns the whole server.
 */
channel: string | null, text: string, };

/**
 * What is kept of stored clips, and what would be deleted now.
 */
export type RetentionReport = { 
/**
 * Of channels that are not named.
 */
keep: KeepReport, channels: Array<ChannelKeep>, 
/**
 * How many clips would go, and the bytes of their files.
 */
clips: number, bytes: number, 
/**
 * Oldest first, at most 1000.
 */
items: Array<Doomed>, };

/**
 * Null where there is no bound.
 */
export type KeepReport = { days: number | null, bytes: number | null, };

export type ChannelKeep = { channel: string, keep: KeepReport, };

/**
 * A clip that would be deleted.
 */
export type Doomed = { id: string, channel: string, title: string, startedAt: number, durationMs: number, size: number, why: Why, 
/**
 * Address of the page that plays it.
 */
watch: string, };

/**
 * Which bound a clip is beyond.
 */
export type Why = "age" | "size";

/**
 * A media session. What ends in `Ms` counts from `openedAt`, and is null while it has not come.
 */
export type Connection = { session: string, channel: string, role: "publisher" | "viewer", state: "new" | "connected" | "closed", openedAt: number, pathMs: number | null, connectedMs: number | null, firstPacketMs: number | null, firstKeyframeMs: number | null, closedMs: number | null, closeReason: string | null, srtpProfile: string | null, address: string | null, addresses: Array<string>, estimate: number | null, sources: Array<ConnectionSource>, packetsIn: number, packetsOut: number, drops: { [key in string]: number }, };

/**
 * One source of a streamer.
 */
export type ConnectionSource = { mid: string, rid: string | null, ssrc: number | null, height: number, packets: number, bitrate: number, lost: number, recovered: number, };

/**
 * All that is known of one.
 */
export type ConnectionReport = { version: string, offer: string | null, answer: string | null, flight: { atMs: number, work: number, what: string, count?: number, reason?: string, dropped?: string | null }[], notesLost: number, session: string, channel: string, role: "publisher" | "viewer", state: "new" | "connected" | "closed", openedAt: number, pathMs: number | null, connectedMs: number | null, firstPacketMs: number | null, firstKeyframeMs: number | null, closedMs: number | null, closeReason: string | null, srtpProfile: string | null, address: string | null, addresses: Array<string>, estimate: number | null, sources: Array<ConnectionSource>, packetsIn: number, packetsOut: number, drops: { [key in string]: number }, };

/**
 * One change to many clips: an edit and tags that are added and removed, or `delete` alone.
 */
export type BulkChange = { 
/**
 * 1 to 100; one that is named twice counts once.
 */
ids: Array<string>, edit?: ClipEdit, addTags?: Array<string>, removeTags?: Array<string>, delete?: boolean, };

/**
 * What became of one of them.
 */
export type BulkDone = { id: string, 
/**
 * As it is now; null when it was deleted, and when there is a problem.
 */
clip: Clip | null, 
/**
 * Null when all went well.
 */
problem: Problem | null, };

/**
 * An address that is told of events.
 */
export type Webhook = { id: string, url: string, description: string, 
/**
 * Types of events that it is told of; empty: all.
 */
types: Array<string>, 
/**
 * Channels whose events it is told of; empty: all, and what concerns the server.
 */
channels: Array<string>, state: WebhookState, createdAt: number, 
/**
 * Until when its former secret signs as well; null when there is none.
 */
oldSecretUntil: number | null, 
/**
 * Deliveries that wait, and the time of the oldest event among them.
 */
waiting: number, oldestWaitingAt: number | null, 
/**
 * What was tried last.
 */
last: Delivery | null, };

export type WebhookState = "active" | "paused" | "disabled";

/**
 * A webhook to be made.
 */
export type NewWebhook = { 
/**
 * `http` or `https`.
 */
url: string, description?: string, types?: Array<string>, channels?: Array<string>, };

/**
 * A change of a webhook; what is absent stays.
 */
export type WebhookEdit = { url?: string, description?: string, types?: Array<string>, channels?: Array<string>, 
/**
 * `active` or `paused`.
 */
state?: WebhookState, };

/**
 * A secret, shown this once.
 */
export type WebhookSecret = { webhook: Webhook, 
/**
 * `whsec_` and base64.
 */
secret: string, };

/**
 * Asks for a new secret.
 */
export type NewSecret = { 
/**
 * How long the former one signs as well, hours; a day unless said otherwise, at most a week.
 */
keepHours?: number, };

/**
 * One event for one webhook, and what became of it.
 */
export type Delivery = { event: string, type: string, channel: string | null, broadcast: string | null, sequence: number, state: DeliveryState, attempts: number, 
/**
 * When it was tried last, or given up.
 */
triedAt: number | null, 
/**
 * Of the last answer; null when there was none.
 */
status: number | null, 
/**
 * How long that took.
 */
tookMs: number, 
/**
 * Why it was no delivery.
 */
reason: string | null, 
/**
 * When it is tried next; null when it is not, or when it is due now.
 */
nextTryAt: number | null, };

export type DeliveryState = "waiting" | "delivered" | "failed";

/**
 * Which events are told again: one of these.
 */
export type ReplayWanted = { 
/**
 * This one alone.
 */
event?: string, 
/**
 * This one and all after it.
 */
fromId?: string, 
/**
 * All since this moment, UTC milliseconds.
 */
since?: number, 
/**
 * All of this broadcast.
 */
broadcast?: string, };

/**
 * What is told again.
 */
export type Replayed = { events: number, 
/**
 * The `fromId` of the next call when there are more; null when there are not.
 */
next: string | null, };

/**
 * The event that tries a webhook.
 */
export type Pinged = { event: string, };

/**
 * What a client may send in the handshake, as `auth` or as query parameters.
 */
export type Handshake = { 
/**
 * The streamer's key. Without it, a viewer.
 */
streamKey?: string, 
/**
 * `[a-z0-9-]{1,32}`, "main" when absent.
 */
channel?: string, 
/**
 * "streamer" asks that the session cookie be taken as the key.
 */
role?: string, };

/**
 * `start-stream`: go live on the handshake's channel.
 */
export type StartStream = { 
/**
 * SDP.
 */
offer: string, 
/**
 * Put first in the answer when the offer has it; the server's choice when absent.
 */
codec?: VideoCodec, };

export type VideoCodec = "h264" | "vp8" | "vp9" | "av1";

export type StreamAnswered = { 
/**
 * SDP with complete candidates.
 */
answer: string, broadcast: string, 
/**
 * True when a broadcast that was held for its streamer goes on.
 */
resumed: boolean, 
/**
 * Names this connection in `restart-ice`.
 */
session: string, };

/**
 * `watch`: follow a channel, and play it when an offer is given and it is on air. With the session of an earlier ack: go on with that one.
 */
export type Watch = { 
/**
 * The handshake's channel when absent.
 */
channel?: string, 
/**
 * SDP. Not looked at when the session goes on.
 */
offer?: string, 
/**
 * Of the ack that opened a connection by which this client watches or sends: it now belongs to this socket.
 */
session?: string, };

export type WatchAnswered = { state: AirState, live: Live | null, 
/**
 * SDP with complete candidates; null without an offer or a live, and for a session that goes on.
 */
answer: string | null, 
/**
 * Names this connection in `restart-ice`, and in `watch` of a later socket; null when there is none. The one that was given: it goes on.
 */
session: string | null, };

/**
 * `restart-ice`: the network has changed; the connection goes on with new credentials on both sides (RFC 8445 §9).
 */
export type RestartIce = { 
/**
 * Of the ack that opened the connection; any socket may name it.
 */
session: string, 
/**
 * `a=ice-ufrag` and `a=ice-pwd` of the new offer, as RFC 8840 §9 writes them.
 */
fragment: string, };

export type IceRestarted = { 
/**
 * The server's new credentials, with complete candidates.
 */
fragment: string, };

/**
 * `quality`: which size of the picture to play. It holds for the session that `watch` opened last.
 */
export type QualityWanted = { 
/**
 * None higher than this, in pixels; the best that the network carries when null or absent.
 */
height?: number | null, };

/**
 * `ice-candidate`. The server is a lite agent whose answers are complete: checked, then ignored.
 */
export type IceCandidate = { candidate: RTCIceCandidateInit | string | null, };

/**
 * `clip`: a clip of what the channel shows. With neither `last` nor `from` the running part is cut at the next keyframe.
 */
export type ClipWanted = { title?: string, 
/**
 * The last so many seconds, 5 to 180.
 */
last?: number, 
/**
 * Or a range, in milliseconds since the broadcast's media began; without its end, up to now.
 */
from?: number, to?: number, 
/**
 * Of which broadcast; without it the one on air, or else the channel's last one.
 */
broadcast?: string, };

/**
 * `latency`: how far behind the streamer's camera this viewer's picture is.
 */
export type Latency = { 
/**
 * Milliseconds, at most 60,000; absent while it is not known, since the answer is needed to know it.
 */
ms?: number, };

/**
 * The clock that our sender reports carry.
 */
export type ServerClock = { 
/**
 * Milliseconds since 1970.
 */
utcMs: number, };

/**
 * `stop-stream` and `unwatch` take nothing; an empty object is welcome.
 */
export type Nothing = Record<symbol, never>;

/**
 * An ack that says no more than yes.
 */
export type Done = Record<symbol, never>;

export type AckError = { code: Code, 
/**
 * For people.
 */
detail: string, };

/**
 * `welcome`, to a socket that was admitted, before anything else.
 */
export type Welcome = { 
/**
 * For `RTCPeerConnection`: TURN servers with credentials that end by themselves. Empty where nobody runs one.
 */
iceServers: Array<IceServer>, };

/**
 * As `RTCPeerConnection` takes it.
 */
export type IceServer = { urls: Array<string>, username: string, credential: string, };

/**
 * `stream-started`, to the channel's room.
 */
export type StreamStarted = { live: Live, 
/**
 * True when the streamer is back after a drop: the same broadcast goes on.
 */
resumed: boolean, };

/**
 * `stream-interrupted`: the streamer dropped or fell silent, and is waited for.
 */
export type StreamInterrupted = { channel: string, broadcast: string, };

/**
 * `stream-ended`.
 */
export type StreamEnded = { channel: string, broadcast: string, reason: EndReason, 
/**
 * Address of the recording's page, null when the broadcast was not recorded.
 */
recording: string | null, };

export type EndReason = "stopped" | "dropped" | "shutdown";

/**
 * `viewers`: connected viewers of a channel, after a change.
 */
export type Viewers = { channel: string, count: number, };

/**
 * `layers`: the heights that a viewer may choose from changed.
 */
export type Layers = { channel: string, 
/**
 * Pixels, the largest first; empty where there is no choice.
 */
heights: Array<number>, };

/**
 * `pictures`, to one viewer: its network carries only the sound, or the pictures are back.
 */
export type Pictures = { paused: boolean, };

/**
 * `clip`: a clip became playable, or its state changed.
 */
export type ClipAnnounced = { clip: Clip, };

/**
 * `alarm`, to the channel's streamer: something about the recording needs a person.
 */
export type Alarm = { text: string, };

/**
 * `taken-over` and `server-stopping` carry nothing but an empty object.
 */
export type Notice = Record<symbol, never>;

export type Ack<T> = ({ ok: true } & T) | { ok: false, error: AckError };

/** Client to server; each is answered by an ack. */
export interface ClientToServerEvents {
  "start-stream": (payload: StartStream, ack: (answer: Ack<StreamAnswered>) => void) => void;
  "stop-stream": (payload: Nothing, ack: (answer: Ack<Done>) => void) => void;
  "watch": (payload: Watch, ack: (answer: Ack<WatchAnswered>) => void) => void;
  "quality": (payload: QualityWanted, ack: (answer: Ack<Done>) => void) => void;
  "unwatch": (payload: Nothing, ack: (answer: Ack<Done>) => void) => void;
  "restart-ice": (payload: RestartIce, ack: (answer: Ack<IceRestarted>) => void) => void;
  "ice-candidate": (payload: IceCandidate, ack: (answer: Ack<Done>) => void) => void;
  "clip": (payload: ClipWanted, ack: (answer: Ack<Requested>) => void) => void;
  "latency": (payload: Latency, ack: (answer: Ack<ServerClock>) => void) => void;
}

/** Server to client. */
export interface ServerToClientEvents {
  "welcome": (payload: Welcome) => void;
  "stream-started": (payload: StreamStarted) => void;
  "stream-interrupted": (payload: StreamInterrupted) => void;
  "stream-ended": (payload: StreamEnded) => void;
  "viewers": (payload: Viewers) => void;
  "layers": (payload: Layers) => void;
  "pictures": (payload: Pictures) => void;
  "clip": (payload: ClipAnnounced) => void;
  "taken-over": (payload: Notice) => void;
  "server-stopping": (payload: Notice) => void;
  "alarm": (payload: Alarm) => void;
}

/** The messages of `connect_error`: socket.io carries no code with a refusal. */
export const REFUSALS: { readonly [message: string]: Code } = {
  "wrong stream key": "bad_key",
  "too many wrong stream keys, try again in a minute": "rate_limited",
  "another site cannot use this session": "forbidden",
  "malformed handshake, or a channel name that is not 1 to 32 characters of a-z, 0-9 and '-'": "invalid",
  "the server is shutting down": "shutting_down",
  "the server failed": "internal",
};

/** What a webhook may be told of. */
export const EVENT_TYPES = [
  "broadcast.started",
  "broadcast.interrupted",
  "broadcast.resumed",
  "broadcast.ended",
  "clip.created",
  "clip.ready",
  "clip.delayed",
  "clip.failed",
  "clip.stored",
  "clip.inspected",
  "clip.edited",
  "clip.published",
  "clip.unpublished",
  "clip.deleted",
  "storage.low",
  "storage.full",
  "storage.ok",
  "alarm.raised",
] as const;
