import { expect } from 'chai';
import { ReadNames } from '../../lib/messaging/readNames.js';
import { Scratch } from '../../lib/port/scratch.js';
import type { Message } from '../../lib/ring/message.js';

/** A message with a name behind 8 bytes, and something else behind that. */
function messageWith(name: string): { readonly message: Message; readonly length: number } {
  const length = Buffer.byteLength(name);
  const message = new Scratch().alloc(8 + ((length + 7) & ~7) + 8);
  message.bytes().fill(0xff);
  message.setText(name, 8);
  return { message, length };
}

describe('names that are read', () => {
  it('are those that were written, the first time and again', () => {
    const names = new ReadNames();
    const written = ['a', 'ab', 'abc', 'abcd', 'abcde', 'ä', 'größe', 'x'.repeat(255), `${'x'.repeat(254)}y`];
    // More than are kept.
    for (let i = 0; i < 1000; i++) written.push(`method ${i}`, `${i} of many, with a long name`);
    for (let round = 0; round < 2; round++) {
      for (const name of written) {
        const { message, length } = messageWith(name);
        expect(names.read(message, 8, length)).to.equal(name);
        expect(names.read(message, 8, length)).to.equal(name);
      }
    }
  });

  it('differ by their length alone', () => {
    const names = new ReadNames();
    const { message } = messageWith('aaaaaaaa');
    for (const length of [8, 7, 6, 5, 6, 7, 8]) {
      expect(names.read(message, 8, length)).to.equal('a'.repeat(length));
    }
  });
});
