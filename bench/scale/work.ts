/**
 * Messages that are work for whoever reads them: some microseconds of arithmetic over the payload, whose result is added
 * to the checksum. Who writes them must not work as much, so there are few kinds of them, whose results are known.
 *
 *   words   0        1 … 15
 *           | number | cargo of the kind: number % KINDS |
 */
import type { Message } from '../../lib/index.js';
import { PAYLOAD_BYTES, type Payload, Seen } from '../tally.js';

const KINDS = 64;
const WORD = 4;
/** With each word: some four microseconds in all. */
const STEPS = 192;

export class Work extends Seen {
  readonly #cargo = new DataView(new ArrayBuffer(PAYLOAD_BYTES));
  /** What comes of each kind. */
  readonly #results = Int32Array.from({ length: KINDS }, (_, kind) => {
    fill(this.#cargo, 0, kind);
    return digest(this.#cargo, 0);
  });

  override write({ view, offset }: Pick<Message, 'view' | 'offset'>): void {
    const kind = this.count % KINDS;
    view.setInt32(offset, this.count, true);
    fill(view, offset, kind);
    this.add(this.#results[kind] as number);
  }

  /** Does the work. Throws unless this is the next message; that its cargo is right, the checksum tells. */
  override read({ view, offset, size }: Payload): void {
    const number = view.getInt32(offset, true);
    if (size !== PAYLOAD_BYTES || number !== this.count) {
      throw new Error(
        `expected message ${this.count} of ${PAYLOAD_BYTES} bytes, got message ${number} of ${size}`,
      );
    }
    this.add(digest(view, offset));
  }
}

function fill(view: DataView, offset: number, kind: number): void {
  for (let i = WORD; i < PAYLOAD_BYTES; i += WORD) {
    view.setInt32(offset + i, Math.imul(kind + 1, 0x9e3779b1) + i, true);
  }
}

/**
 * Each step needs the one before it, and nothing but registers: it takes as long whatever the compiler makes of it, and
 * whatever else the processor could do meanwhile.
 */
function digest(view: DataView, offset: number): number {
  let sum = 0;
  for (let i = WORD; i < PAYLOAD_BYTES; i += WORD) {
    const word = view.getInt32(offset + i, true);
    for (let step = 0; step < STEPS; step++) sum = Math.imul(sum ^ word, 0x85ebca6b) ^ (sum >>> 15);
  }
  return sum;
}
