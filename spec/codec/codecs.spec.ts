import { expect } from 'chai';
import fc from 'fast-check';
import { bytesCodec, type Codec, json, msgpack, textCodec } from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { Exchange } from './exchange.js';

interface Ring {
  name: string;
  self?: Ring;
}

describe('codecs', () => {
  let exchange: Exchange;
  beforeEach(() => {
    exchange = new Exchange();
  });
  afterEach(() => {
    exchange.close();
  });

  /** Everything about a value that a codec refuses. */
  function refuses<T>(codec: Codec<T>, value: T, words: RegExp): void {
    expectCode(() => codec.encode(exchange.sender, value), 'ERR_CODEC', words);
    expectCode(() => exchange.sender.push(), 'ERR_NO_MESSAGE');
    expect(exchange.sender.send('still of use')).to.equal(true);
    expect(exchange.receiver.front()?.text()).to.equal('still of use');
    exchange.receiver.pop();
  }

  describe('bytes', () => {
    it('arrive as a copy, of any size', () => {
      for (const size of [0, 1, 7, 8, 4096, 100_000]) {
        const bytes = Buffer.alloc(size, 'bytes');
        expect(Buffer.compare(exchange.carry(bytesCodec, bytes), bytes)).to.equal(0);
      }
    });
    it('are nothing else', () => {
      refuses(bytesCodec, 'text' as unknown as Uint8Array, /Uint8Array, got string/);
    });
  });

  describe('text', () => {
    it('arrives as it was', () => {
      for (const text of ['', 'a', 'žluťoučký kůň', '🐎'.repeat(1000)]) {
        expect(exchange.carry(textCodec, text)).to.equal(text);
      }
    });
    it('is nothing else', () => {
      refuses(textCodec, 5 as unknown as string, /string, got number/);
    });
  });

  describe('json', () => {
    it('carries what JSON has', () => {
      const value = { a: [1, 2.5, null, true], b: { 'c d': 'é' } };
      expect(exchange.carry(json(), value)).to.deep.equal(value);
    });
    it('refuses what JSON has no word for', () => {
      const cyclic: Ring = { name: 'a' };
      cyclic.self = cyclic;
      refuses(json(), cyclic, /circular/);
      refuses(json(), 5n, /BigInt/);
      refuses(json(), undefined, /undefined/);
      refuses(json(), () => {}, /function/);
    });
    it('tells of bytes that are not JSON', () => {
      expectCode(() => exchange.decode(json(), Buffer.from('{"a":')), 'ERR_CODEC');
    });
  });

  describe('msgpack', () => {
    const anything = fc.anything({
      values: [
        fc.boolean(),
        fc.integer(),
        // There is no integer -0.
        fc.double().map((number) => number + 0),
        fc.string({ unit: 'grapheme' }),
        fc.constant(null),
        fc.constant(undefined),
      ],
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      key: fc.string().filter((key) => key !== '__proto__'),
    });

    it('carries what there is of values', () => {
      const value = {
        none: null,
        missing: undefined,
        numbers: [0, -1, 127, 128, 1e300, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, -0.5],
        texts: ['', 'é🐎', 'x'.repeat(70_000)],
        when: new Date(1_732_212_000_123),
        before: new Date(-1),
        big: [5n, -5n, 2n ** 64n, -(2n ** 200n)],
        set: new Set([1, 'two', { three: 3 }]),
        pattern: /a+b/gi,
      };
      expect(exchange.carry(msgpack(), value)).to.deep.equal(value);
    });

    it('carries any value there is', () => {
      fc.assert(
        fc.property(anything, (value) => {
          expect(exchange.carry(msgpack(), value)).to.deep.equal(value);
        }),
        { numRuns: 500, verbose: true },
      );
    });

    it('carries any value there is with cycles too', () => {
      fc.assert(
        fc.property(anything, (value) => {
          const codec = msgpack({ cyclic: true });
          expect(exchange.carry(codec, value, msgpack())).to.deep.equal(value);
        }),
        { numRuns: 500, verbose: true },
      );
    });

    it('tells a Map from an object', () => {
      const value = {
        map: new Map<unknown, unknown>([
          [1, { a: 1 }],
          ['b', new Map([[{ x: 1 }, 2]])],
        ]),
        plain: { a: 1 },
      };
      expect(exchange.carry(msgpack(), value)).to.deep.equal(value);
    });

    it('carries errors with name, message and cause', () => {
      const arrived = exchange.carry(
        msgpack<Error>(),
        new RangeError('out', { cause: new TypeError('type') }),
      );
      expect(arrived).to.be.instanceOf(RangeError);
      expect(arrived.message).to.equal('out');
      expect(arrived.cause).to.be.instanceOf(TypeError);
    });

    it('gives copies of buffers and typed arrays, each over memory of its own', () => {
      const value = {
        raw: Buffer.from('raw'),
        bytes: new Uint8Array([1, 2]),
        doubles: new Float64Array([0.5, 2]),
      };
      const arrived = exchange.carry(msgpack<typeof value>(), value);
      expect(arrived).to.deep.equal(value);
      expect(Buffer.isBuffer(arrived.raw)).to.equal(true);
      exchange.carry(msgpack(), { raw: Buffer.from('RAW'), bytes: new Uint8Array([9, 9]) });
      expect(arrived).to.deep.equal(value);
    });

    it('carries large values, and small ones after them', () => {
      const value = {
        blob: Buffer.alloc(150_000, 'large'),
        list: Array.from({ length: 1000 }, (_, i) => ({ i })),
      };
      for (let i = 0; i < 3; i++) {
        expect(exchange.carry(msgpack(), value)).to.deep.equal(value);
        expect(exchange.carry(msgpack(), { i })).to.deep.equal({ i });
      }
    });

    it('is read message by message, whatever was sent before', () => {
      // What a peer that starts afresh does: it has seen none of the former messages.
      const codec = msgpack({ cyclic: true });
      for (let i = 0; i < 100; i++) exchange.carry(codec, { a: i, b: { c: i } });
      codec.encode(exchange.sender, { a: 1, b: { c: 2 } });
      exchange.sender.push();
      const bytes = Buffer.from(exchange.receiver.front()?.bytes() ?? []);
      exchange.receiver.pop();
      expect(bytes.includes('a')).to.equal(true);
      expect(bytes.includes('c')).to.equal(true);
    });

    it('refuses what contains itself, unless it is told to carry that', () => {
      const cyclic: Ring = { name: 'a' };
      cyclic.self = cyclic;
      refuses<unknown>(msgpack(), cyclic, /cannot carry/);
      const arrived = exchange.carry(msgpack<Ring>({ cyclic: true }), cyclic, msgpack<Ring>());
      expect(arrived.self).to.equal(arrived);
      expect(arrived.name).to.equal('a');
      const map = new Map<string, unknown>();
      map.set('self', map);
      const mapped = exchange.carry(msgpack<typeof map>({ cyclic: true }), map);
      expect(mapped.get('self')).to.equal(mapped);
    });

    it('keeps one object in two places one object', () => {
      const shared = { x: 1 };
      const [a, b] = exchange.carry(msgpack<unknown[]>({ cyclic: true }), [shared, shared]);
      expect(a).to.equal(b);
    });

    it('refuses functions, symbols and what is nested too deeply', () => {
      refuses<unknown>(msgpack(), { f: () => {} }, /function/);
      refuses<unknown>(msgpack({ cyclic: true }), { f: () => {} }, /function/);
      refuses<unknown>(msgpack(), { s: Symbol('s') }, /symbol/);
      let deep: unknown[] = [];
      for (let i = 0; i < 100_000; i++) deep = [deep];
      refuses<unknown>(msgpack(), deep, /stack/);
    });

    it('passes on what a getter of the value throws, and is of use after it', () => {
      const value = {
        get broken(): never {
          throw new Error('broken getter');
        },
      };
      refuses<unknown>(msgpack(), value, /broken getter/);
      expect(exchange.carry(msgpack(), { fine: true })).to.deep.equal({ fine: true });
    });

    it('leaves nothing allocated for a value that no message has room for', () => {
      const value = Buffer.alloc(2 ** 20);
      expect(() => msgpack().encode(exchange.sender, value)).to.throw(RangeError);
      expectCode(() => exchange.sender.push(), 'ERR_NO_MESSAGE');
    });

    it('gives null when the queue is full, and goes on when it is not', () => {
      const codec = msgpack<{ i: number; fill: string }>();
      let sent = 0;
      for (; codec.encode(exchange.sender, { i: sent, fill: 'x'.repeat(5000) }) !== null; sent++)
        exchange.sender.push();
      for (let i = 0; i < sent; i++) {
        const message = exchange.receiver.front();
        expect(message === null ? null : codec.decode(message).i).to.equal(i);
        exchange.receiver.pop();
      }
      expect(exchange.receiver.front()).to.equal(null);
      expect(exchange.carry(codec, { i: 1, fill: '' })).to.deep.equal({ i: 1, fill: '' });
    });

    it('makes of any bytes a value or ERR_CODEC', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          for (const all of [bytes, Uint8Array.of(0xc1, ...bytes)]) {
            try {
              exchange.decode(msgpack(), all);
            } catch (error) {
              expect(error).to.deep.include({ code: 'ERR_CODEC' });
            }
          }
          expect(exchange.carry(msgpack(), { fine: [true] })).to.deep.equal({ fine: [true] });
        }),
        { numRuns: 500 },
      );
    });

    it('checks its options', () => {
      expectCode(() => msgpack({ cyclic: 1 as unknown as boolean }), 'ERR_OPTION');
    });
  });
});
