import type { Transfer } from '../memory/byteStream.js';
import type { Block } from '../memory/copy.js';
import { type FrameReader, MAX_CARRY_BYTES } from '../session/frame.js';
import type { Wire } from './wire.js';

/** Where all links of a thread receive: what is left over of a frame's header stays with its reader. */
const inbox: Block = (() => {
  const buffer = new ArrayBuffer(65536 + MAX_CARRY_BYTES);
  return { words: new Int32Array(buffer), bytes: new Uint8Array(buffer) };
})();

/** What receives from a wire for `receiveInto`: `often` where that is worth some microseconds now. */
export function receiverOf(wire: Wire, often: boolean): Transfer {
  const receiver = often ? wire.receiver?.(inbox.bytes) : undefined;
  return receiver ?? ((start, length) => wire.receive(inbox.bytes, start, length));
}

/** Receives what there is, up to the size of the shared buffer, into a reader: bytes, 0 for none, -1 for the end. */
export function receiveInto(reader: FrameReader, receive: Transfer): number {
  const carried = reader.restore(inbox);
  const count = receive(carried, inbox.bytes.length - carried);
  if (count > 0) reader.consume(inbox, carried + count);
  return count;
}
