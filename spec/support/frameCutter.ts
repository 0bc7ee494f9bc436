import type { Socket } from 'node:net';
import { FRAME_HEADER_BYTES } from '../../lib/session/frame.js';
import { type Carrier, endTogether } from './relay.js';

/** Cuts each frame that a relay carries in pieces, of which one goes out per turn of the event loop. */
export class FrameCutter {
  /** How many frames were cut: so that specs can prove it. */
  framesCut = 0;
  readonly #pieces: number;

  constructor(piecesPerFrame: number) {
    this.#pieces = piecesPerFrame;
  }

  readonly carry: Carrier = (near, far) => {
    this.#carry(near, far);
    this.#carry(far, near);
  };

  #carry(from: Socket, to: Socket): void {
    const ready: Buffer[] = [];
    let gathered = Buffer.alloc(0);
    let ended = false;
    let running = false;
    const forward = (): void => {
      const piece = ready.shift();
      if (piece !== undefined) to.write(piece);
      running = ready.length > 0;
      if (running) setImmediate(forward);
      else if (ended) to.end();
    };
    endTogether(from, to);
    from.on('data', (chunk: Buffer) => {
      gathered = Buffer.concat([gathered, chunk]);
      for (;;) {
        if (gathered.length < FRAME_HEADER_BYTES) break;
        const length = FRAME_HEADER_BYTES + gathered.readUInt32LE(4);
        if (gathered.length < length) break;
        for (let i = 0; i < this.#pieces; i++) {
          const start = Math.floor((i * length) / this.#pieces);
          ready.push(gathered.subarray(start, Math.floor(((i + 1) * length) / this.#pieces)));
        }
        this.framesCut++;
        gathered = gathered.subarray(length);
      }
      if (!running && ready.length > 0) {
        running = true;
        setImmediate(forward);
      }
    });
    from.on('end', () => {
      ended = true;
      if (!running) to.end();
    });
  }
}
