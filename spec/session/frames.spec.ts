import { expect } from 'chai';
import fc from 'fast-check';
import type { TcpshmError } from '../../lib/errors.js';
import type { Block } from '../../lib/memory/copy.js';
import { Checksum } from '../../lib/session/checksum.js';
import {
  controlFrame,
  FRAME_HEADER_BYTES,
  FrameHeader,
  FrameKind,
  FrameReader,
  type FrameSink,
  MAX_CARRY_BYTES,
  MAX_CONTROL_BYTES,
  PROTOCOL_VERSION,
} from '../../lib/session/frame.js';
import { expectCode } from '../support/failure.js';

type Frame =
  | { readonly kind: 'data'; position: number; acknowledged: number; sequence: number; payload: Uint8Array }
  | { readonly kind: number; readonly payload: Uint8Array };

function bytesOf(frame: Frame): Uint8Array {
  if (frame.kind !== 'data') return controlFrame(frame.kind as FrameKind, frame.payload);
  const header = new FrameHeader();
  header.fill(FrameKind.data, frame.payload.length, frame.position, frame.acknowledged, frame.sequence);
  const words = new Int32Array(frame.payload.slice().buffer);
  header.cover(words, 0, words.length);
  header.seal();
  return Buffer.concat([header.bytes, frame.payload]);
}

/** Notes verified frames; what arrives of others stays out of sight, as in a ring. */
class Notes implements FrameSink {
  readonly frames: Frame[] = [];
  #position = 0;
  #length = 0;
  #arrived: number[] = [];

  dataBegins(position: number, length: number): void {
    this.#position = position;
    this.#length = length;
    this.#arrived = [];
  }
  dataArrives(block: Block, start: number, length: number): void {
    expect(length % 8, 'cut within eight bytes').to.equal(0);
    expect(start % 4, 'not aligned').to.equal(0);
    this.#arrived.push(...block.bytes.subarray(start, start + length));
  }
  dataEnds(acknowledged: number, sequence: number): void {
    expect(this.#arrived.length).to.equal(this.#length);
    const payload = Uint8Array.from(this.#arrived);
    this.frames.push({ kind: 'data', position: this.#position, acknowledged, sequence, payload });
  }
  control(kind: FrameKind, payload: Uint8Array): void {
    this.frames.push({ kind, payload });
  }
}

/** Feeds a stream in pieces of these lengths (again and again), through a block as small as may be. */
function feed(reader: FrameReader, stream: Uint8Array, cuts: readonly number[]): void {
  const largest = Math.max(...cuts);
  const words = new Int32Array((largest + MAX_CARRY_BYTES + 7) >> 2);
  const block = { words, bytes: new Uint8Array(words.buffer) };
  for (let at = 0, i = 0; at < stream.length; i++) {
    const carried = reader.restore(block);
    const piece = stream.subarray(at, at + (cuts[i % cuts.length] as number));
    block.bytes.set(piece, carried);
    reader.consume(block, carried + piece.length);
    at += piece.length;
  }
}

const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const eights = (max: number): fc.Arbitrary<Uint8Array> =>
  fc.nat(max).chain((count) => fc.uint8Array({ minLength: count * 8, maxLength: count * 8 }));
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: fc.constant('data' as const),
    position: int,
    acknowledged: int,
    sequence: int,
    payload: eights(20),
  }),
  fc.record({ kind: fc.constantFrom(1, 2, 3, 4, 5, 7), payload: eights(8) }),
);

describe('the checksum', () => {
  const digest = (words: Int32Array, cuts: readonly number[] = []): number => {
    const checksum = new Checksum().reset();
    let from = 0;
    for (const cut of [...cuts, words.length]) {
      checksum.update(words, from, cut);
      from = cut;
    }
    return checksum.digest();
  };
  const words = fc.array(fc.tuple(int, int), { maxLength: 60 }).map((pairs) => Int32Array.from(pairs.flat()));

  it('is the same however its input is split', () => {
    fc.assert(
      fc.property(words, fc.array(fc.nat(1000)), (input, places) => {
        const cuts = places.map((place) => (place % (input.length / 2 + 1)) * 2).sort((a, b) => a - b);
        expect(digest(input, cuts)).to.equal(digest(input));
      }),
    );
  });

  it('changes with every single bit', () => {
    fc.assert(
      fc.property(words, (input) => {
        const whole = digest(input);
        for (let bit = 0; bit < input.length * 32; bit++) {
          const changed = input.slice();
          changed[bit >> 5] = (changed[bit >> 5] as number) ^ (1 << (bit & 31));
          expect(digest(changed), `bit ${bit}`).to.not.equal(whole);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('changes with the length, with swapped words and with zeroes added', () => {
    const seen = new Set<number>();
    for (let count = 0; count < 2000; count += 2) seen.add(digest(new Int32Array(count)));
    expect(seen.size).to.equal(1000);
    expect(digest(Int32Array.of(1, 2, 3, 4))).to.not.equal(digest(Int32Array.of(3, 4, 1, 2)));
    expect(digest(Int32Array.of(1, 2, 3, 4))).to.not.equal(digest(Int32Array.of(2, 1, 3, 4)));
  });

  it('is used again after reset', () => {
    const checksum = new Checksum();
    checksum.reset().update(Int32Array.of(7, 8), 0, 2).digest();
    expect(checksum.reset().update(Int32Array.of(1, 2), 0, 2).digest()).to.equal(digest(Int32Array.of(1, 2)));
  });
});

describe('frames', () => {
  it('are the same however their stream is split', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const notes = new Notes();
          const reader = new FrameReader(notes);
          feed(reader, Buffer.concat(frames.map(bytesOf)), cuts);
          expect(notes.frames).to.deep.equal(frames);
          expect(reader.betweenFrames).to.equal(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are the same byte by byte', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 3 }), (frames) => {
        const notes = new Notes();
        feed(new FrameReader(notes), Buffer.concat(frames.map(bytesOf)), [1]);
        expect(notes.frames).to.deep.equal(frames);
      }),
      { numRuns: 50 },
    );
  });

  it('are the same when another reader goes on, from wherever the one before has stopped', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 3 }), (frames) => {
        const stream = Buffer.concat(frames.map(bytesOf));
        for (let end = 0; end <= stream.length; end++) {
          const notes = new Notes();
          const first = new FrameReader(notes);
          feed(first, stream.subarray(0, end), [64]);
          // As it gets to another thread.
          const state = structuredClone(first.state);
          const second = new FrameReader(notes, state);
          feed(second, stream.subarray(end), [40]);
          expect(notes.frames, `cut at ${end}`).to.deep.equal(frames);
          expect(second.betweenFrames).to.equal(true);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('are cut off wherever the stream ends within one', () => {
    const whole = bytesOf({
      kind: 'data',
      position: 8,
      acknowledged: 0,
      sequence: 0,
      payload: new Uint8Array(48),
    });
    for (let end = 1; end < whole.length; end++) {
      const notes = new Notes();
      const reader = new FrameReader(notes);
      feed(reader, whole.subarray(0, end), [64]);
      expect(reader.betweenFrames, `after ${end} bytes`).to.equal(false);
      expect(notes.frames).to.deep.equal([]);
    }
  });

  it('with any bit flipped are refused or never end: no other frame comes out', () => {
    const sent: Frame[] = [
      {
        kind: 'data',
        position: 4096,
        acknowledged: 64,
        sequence: 3,
        payload: new Uint8Array(32).map((_, i) => i),
      },
      { kind: FrameKind.goodbye, payload: new Uint8Array(8) },
    ];
    const stream = Buffer.concat(sent.map(bytesOf));
    const first = bytesOf(sent[0] as Frame).length;
    for (let bit = 0; bit < stream.length * 8; bit++) {
      const spoiled = Buffer.from(stream);
      spoiled[bit >> 3] = (spoiled[bit >> 3] as number) ^ (1 << (bit & 7));
      const notes = new Notes();
      const reader = new FrameReader(notes);
      let refused = false;
      try {
        feed(reader, spoiled, [50]);
      } catch (error) {
        refused = true;
        expect((error as TcpshmError).code).to.be.oneOf(['ERR_PROTOCOL', 'ERR_PROTOCOL_VERSION']);
      }
      expect(refused || !reader.betweenFrames, `bit ${bit}`).to.equal(true);
      expect(notes.frames, `bit ${bit}`).to.deep.equal(bit >> 3 < first ? [] : sent.slice(0, 1));
    }
  });

  it('of another protocol version are refused by name', () => {
    const other = bytesOf({ kind: FrameKind.hello, payload: new Uint8Array(8) });
    other[1] = PROTOCOL_VERSION + 1;
    expectCode(
      () => feed(new FrameReader(new Notes()), other, [100]),
      'ERR_PROTOCOL_VERSION',
      /speaks protocol version 3, the peer 4/,
    );
  });

  it('of the other byte order are refused by name', () => {
    const other = Buffer.from(bytesOf({ kind: FrameKind.hello, payload: new Uint8Array(0) })).swap32();
    expectCode(() => feed(new FrameReader(new Notes()), other, [100]), 'ERR_PROTOCOL', /other byte order/);
  });

  it('are not what a browser sends', () => {
    const request = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expectCode(
      () => feed(new FrameReader(new Notes()), request, [7]),
      'ERR_PROTOCOL',
      /got other bytes: "GET "/,
    );
    expectCode(
      () => feed(new FrameReader(new Notes()), Buffer.alloc(24), [24]),
      'ERR_PROTOCOL',
      /other bytes/,
    );
  });

  it('have a known kind, and a length that goes with it', () => {
    const make = (kind: number, length: number): Uint8Array => {
      const header = new FrameHeader();
      header.fill(kind as FrameKind, length, 0, 0, 0);
      header.seal();
      return header.bytes;
    };
    for (const kind of [0, 10, 255]) {
      expectCode(
        () => feed(new FrameReader(new Notes()), make(kind, 0), [24]),
        'ERR_PROTOCOL',
        /kind must be from 1 to 9/,
      );
    }
    for (const kind of [1, 2, 3, 4, 5, 7]) {
      for (const length of [MAX_CONTROL_BYTES + 8, 2 ** 31, 2 ** 32 - 8]) {
        expectCode(
          () => feed(new FrameReader(new Notes()), make(kind, length), [24]),
          'ERR_PROTOCOL',
          /at most 16384/,
        );
      }
    }
    for (const kind of [1, 6]) {
      for (const length of [1, 4, 7, 9, 2 ** 32 - 1]) {
        expectCode(
          () => feed(new FrameReader(new Notes()), make(kind, length), [24]),
          'ERR_PROTOCOL',
          /multiple of 8/,
        );
      }
    }
  });

  it('pad the payload of a control frame with zeroes', () => {
    const notes = new Notes();
    feed(new FrameReader(notes), controlFrame(FrameKind.hello, Uint8Array.of(1, 2, 3)), [5]);
    expect(notes.frames).to.deep.equal([{ kind: 1, payload: Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0) }]);
  });

  it('go to another sink from the middle of a block', () => {
    const before = new Notes();
    const after = new Notes();
    const reader: FrameReader = new FrameReader({
      dataBegins: before.dataBegins.bind(before),
      dataArrives: before.dataArrives.bind(before),
      dataEnds: before.dataEnds.bind(before),
      control(kind, payload) {
        before.control(kind, payload);
        reader.sink = after;
      },
    });
    const stream = [
      controlFrame(FrameKind.attached, new Uint8Array(0)),
      bytesOf({ kind: 'data', position: 0, acknowledged: 0, sequence: 0, payload: new Uint8Array(16) }),
    ];
    feed(reader, Buffer.concat(stream), [1000]);
    expect([before.frames.length, after.frames.length]).to.deep.equal([1, 1]);
  });

  it('take room only for a piece of a header between two calls', () => {
    expect(MAX_CARRY_BYTES).to.equal(FRAME_HEADER_BYTES);
  });
});
