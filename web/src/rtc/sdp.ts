// The few things about SDP that the browser's objects do not say. Line based; nothing is parsed that is not needed.

export type Kind = "audio" | "video";

/** The lines of each media section, the session's own lines first. */
function sections(sdp: string): string[][] {
  const result: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith("m=")) result.push([]);
    if (line !== "") result[result.length - 1]?.push(line);
  }
  return result;
}

function join(parts: string[][]): string {
  return `${parts.flat().join("\r\n")}\r\n`;
}

function payloadTypes(section: string[], codec: string): string[] {
  return section.flatMap((line) => {
    const match = /^a=rtpmap:(\d+) ([^/]+)\//.exec(line);
    return match?.[1] && match[2]?.toLowerCase() === codec ? [match[1]] : [];
  });
}

function withParameter(section: string[], codec: string, parameter: string): string[] {
  const types = payloadTypes(section, codec);
  const name = parameter.split("=")[0];
  return section.map((line) => {
    const type = /^a=fmtp:(\d+) /.exec(line)?.[1];
    if (type === undefined || !types.includes(type)) return line;
    return new RegExp(`[ ;]${name}=`).test(line) ? line : `${line};${parameter}`;
  });
}

/** Asks for stereo: Chromium decodes and encodes Opus in mono unless its own description says otherwise. */
export function withStereo(sdp: string): string {
  return join(sections(sdp).map((s) => withParameter(s, "opus", "stereo=1")));
}

/** Lets the encoder begin near its target instead of climbing from 300 kbit/s. Chromium only; others ignore it. */
export function withStartBitrate(sdp: string, kilobits: number): string {
  const parameter = `x-google-start-bitrate=${kilobits}`;
  return join(
    sections(sdp).map((section) => {
      if (!section[0]?.startsWith("m=video")) return section;
      const codecs = ["h264", "vp8", "vp9", "av1"];
      const reached = codecs.reduce((lines, codec) => withParameter(lines, codec, parameter), section);
      const done = new Set(section.flatMap((line) => /^a=fmtp:(\d+) /.exec(line)?.[1] ?? []));
      // VP8 has no parameters of its own, so that its line may have to be made.
      const made = codecs.flatMap((codec) => payloadTypes(section, codec)).filter((type) => !done.has(type));
      return [...reached, ...made.map((type) => `a=fmtp:${type} ${parameter}`)];
    }),
  );
}

/** Whether an answer takes a kind of media in this codec. */
export function carries(answer: string, kind: Kind, codec: string): boolean {
  const section = sections(answer).find((s) => s[0]?.startsWith(`m=${kind} `));
  return section !== undefined && !refuses(answer, kind) && payloadTypes(section, codec).length > 0;
}

/** Whether an answer says no to a kind of media: port 0, inactive, or the section is not there. */
export function refuses(answer: string, kind: Kind): boolean {
  const section = sections(answer).find((s) => s[0]?.startsWith(`m=${kind} `));
  return (
    section === undefined || section[0]?.startsWith(`m=${kind} 0 `) === true || section.includes("a=inactive")
  );
}

/** The codec that an answer puts first for a kind of media, in lower case. */
export function codecOf(answer: string, kind: Kind): string | null {
  const section = sections(answer).find((s) => s[0]?.startsWith(`m=${kind} `));
  const first = section?.[0]?.split(" ")[3];
  const line = section?.find((l) => l.startsWith(`a=rtpmap:${first} `));
  return line?.split(" ")[1]?.split("/")[0]?.toLowerCase() ?? null;
}

const ICE = ["a=ice-ufrag:", "a=ice-pwd:"] as const;

/** The credentials of a description, as the server wants them for a restart (RFC 8840 §9). */
export function iceFragment(sdp: string): string {
  const lines = sdp.split(/\r?\n/);
  const found = ICE.flatMap((name) => lines.find((line) => line.startsWith(name)) ?? []);
  return `${found.join("\r\n")}\r\n`;
}

/** A description with the credentials of a fragment. */
export function withIce(sdp: string, fragment: string): string {
  const renewed = iceFragment(fragment).split("\r\n");
  const of = (line: string) => {
    const name = ICE.find((candidate) => line.startsWith(candidate));
    return (name && renewed.find((candidate) => candidate.startsWith(name))) ?? line;
  };
  return join(sections(sdp).map((section) => section.map(of)));
}
