import { expect } from 'chai';
import { copyBytes, copyWords } from '../../lib/memory/copy.js';

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

  it('copies whole words, to the last one that a byte is in, and touches no others', () => {
    const words = Int32Array.from({ length: 80 }, (_, i) => i + 1);
    const from = { words, bytes: Buffer.from(words.buffer) };
    for (let length = 0; length <= 270; length++) {
      for (const [start, at] of [
        [0, 0],
        [4, 0],
        [0, 8],
        [8, 12],
      ] as const) {
        const copied = new Int32Array(80);
        copyWords(from, start, { words: copied, bytes: Buffer.from(copied.buffer) }, at, length);
        // What is long is copied by bytes.
        const end = length > 256 ? length : (length + 3) & ~3;
        const expected = Buffer.alloc(320);
        from.bytes.copy(expected, at, start, start + end);
        expect(
          Buffer.from(copied.buffer).equals(expected),
          `${length} bytes from ${start} to ${at}`,
        ).to.equal(true);
      }
    }
  });
});
