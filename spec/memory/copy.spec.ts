import { expect } from 'chai';
import { copyBytes } from '../../lib/memory/copy.js';

describe('copying bytes', () => {
  it('copies so many from anywhere to anywhere, and touches no others', () => {
    const from = Buffer.from(Uint8Array.from({ length: 80 }, (_, i) => i + 1));
    for (let length = 0; length <= 40; length++) {
      for (const start of [0, 1, 7, 8]) {
        for (const at of [0, 3, 8]) {
          const to = new Uint8Array(64);
          copyBytes(from, start, start + length, to, at);
          const expected = Array.from({ length: 64 }, (_, i) =>
            i >= at && i < at + length ? start + i - at + 1 : 0,
          );
          expect([...to], `${length} bytes from ${start} to ${at}`).to.deep.equal(expected);
        }
      }
    }
  });
});
