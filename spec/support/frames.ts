/** Frames made and read by hand. */
import { controlFrame, FRAME_HEADER_BYTES, FrameHeader, FrameKind } from '../../lib/session/frame.js';
import { encodeHello, type Hello } from '../../lib/session/loginMessages.js';

/** What a client of this version says that was given no options, but for these fields. */
export function helloOf(client: string, fields: Partial<Hello> = {}): Hello {
  return {
    client,
    server: '',
    transport: 'tcp',
    bootId: '',
    clientToServer: 0,
    serverToClient: 0,
    overTcp: { clientToServer: 0, serverToClient: 0 },
    heartbeatIntervalMs: 3000,
    connectionTimeoutMs: 10000,
    codec: '',
    protocol: { name: '', oldest: 0, newest: 0 },
    login: new Uint8Array(0),
    ...fields,
  };
}

/** The same as its frame. */
export function helloFrame(client: string, fields: Partial<Hello> = {}): Buffer {
  return Buffer.from(controlFrame(FrameKind.hello, encodeHello(helloOf(client, fields))));
}

/** Ring bytes, or none, with an acknowledgement: in order as to its form, whatever it says. */
export function dataFrame(
  position: number,
  payload: Uint8Array,
  acknowledged: number,
  sequence: number,
): Buffer {
  const header = new FrameHeader();
  const words = new Int32Array(payload.slice().buffer);
  header.fill(FrameKind.data, payload.length, position, acknowledged, sequence);
  header.cover(words, 0, words.length);
  header.seal();
  return Buffer.concat([header.bytes, payload]);
}

export interface Frame {
  readonly kind: number;
  readonly payload: Buffer;
}

/** The whole frames at the start of a stream. */
export function framesOf(received: readonly Buffer[]): Frame[] {
  const bytes = Buffer.concat(received);
  const frames: Frame[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; ) {
    const end = at + FRAME_HEADER_BYTES + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) break;
    frames.push({ kind: bytes[at] as number, payload: bytes.subarray(at + FRAME_HEADER_BYTES, end) });
    at = end;
  }
  return frames;
}
