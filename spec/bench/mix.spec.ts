import { expect } from 'chai';
import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../../bench/mix.js';

const AT = 24;
const WHOLE = 0; // the first messages of each 256 are compared whole …
const STAMPED = 100; // … and the others once per cache line and at the end

function message(sequence: number): DataView {
  const view = new DataView(new ArrayBuffer(256));
  stamp(view, AT, payloadBytes(sequence), sequence);
  return view;
}

describe('messages of the bench', () => {
  it('come in four sizes in turn', () => {
    const sizes = [0, 1, 2, 3, 4, 1001].map((sequence) => HEADER_BYTES + payloadBytes(sequence));
    expect(sizes).to.deep.equal([...MESSAGE_BYTES, MESSAGE_BYTES[0], MESSAGE_BYTES[1]]);
  });

  it('are accepted as they were sent, whatever their number', () => {
    for (let sequence = 0; sequence < 1000; sequence++) {
      verify(message(sequence), AT, payloadBytes(sequence), sequence);
    }
  });

  it('keep within their payload', () => {
    for (const sequence of [WHOLE + 3, STAMPED + 3]) {
      const bytes = new Uint8Array(message(sequence).buffer);
      expect(bytes.subarray(0, AT).every((byte) => byte === 0)).to.equal(true);
      expect(bytes.subarray(AT + payloadBytes(sequence)).every((byte) => byte === 0)).to.equal(true);
    }
  });

  it('are refused when they are those of another number or size', () => {
    const size = payloadBytes(STAMPED);
    expect(() => verify(message(STAMPED), AT, size, STAMPED + 4)).to.throw(/message 104 .*number/);
    expect(() => verify(message(STAMPED), AT, size + 4, STAMPED)).to.throw(/message 100 .*size/);
  });

  it('are refused when any cache line is stale', () => {
    const size = payloadBytes(STAMPED + 3);
    for (let line = 0; line < size; line += 64) {
      const torn = message(STAMPED + 3);
      const stale = message(STAMPED - 1);
      for (let i = line; i < Math.min(line + 64, size); i++) torn.setUint8(AT + i, stale.getUint8(AT + i));
      expect(() => verify(torn, AT, size, STAMPED + 3), `line ${line}`).to.throw(/came back wrong/);
    }
  });

  it('are refused when any byte of a message that is compared whole has changed', () => {
    for (let sequence = WHOLE; sequence < WHOLE + 4; sequence++) {
      const size = payloadBytes(sequence);
      for (let i = 0; i < size; i++) {
        const changed = message(sequence);
        changed.setUint8(AT + i, changed.getUint8(AT + i) ^ 1);
        expect(() => verify(changed, AT, size, sequence), `byte ${i}`).to.throw(/came back wrong/);
      }
    }
  });
});
