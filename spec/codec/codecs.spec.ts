import { deepStrictEqual } from 'node:assert/strict';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
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
        // One that is none equals nothing, itself neither: it has a spec of its own.
        fc.date({ noInvalidDate: true }),
      ],
      withBigInt: true,
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

    it('carries a date that is none', () => {
      const value = exchange.carry(msgpack(), new Date(Number.NaN));
      expect(value).to.be.an.instanceOf(Date);
      expect((value as Date).getTime()).to.deep.equal(Number.NaN);
    });

    it('carries any value there is', () => {
      fc.assert(
        fc.property(anything, (value) => {
          deepStrictEqual(exchange.carry(msgpack(), value), value);
        }),
        { numRuns: 500, verbose: true },
      );
    });

    it('carries any value there is with cycles too', () => {
      fc.assert(
        fc.property(anything, (value) => {
          const codec = msgpack({ cyclic: true });
          deepStrictEqual(exchange.carry(codec, value, msgpack()), value);
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

    describe('what it cannot carry as what it is', () => {
      const { port1, port2 } = new MessageChannel();
      after(() => {
        port1.close();
        port2.close();
      });
      class Tagged {
        readonly n = 1;
        get [Symbol.toStringTag](): string {
          return 'Tagged';
        }
      }
      const KINDS: Record<string, readonly [value: unknown, what: RegExp]> = {
        'a WeakMap': [new WeakMap(), /a WeakMap/],
        'a WeakSet': [new WeakSet(), /a WeakSet/],
        'a WeakRef': [new WeakRef({}), /a WeakRef/],
        'a promise': [Promise.resolve(1), /a Promise/],
        'a SharedArrayBuffer': [new SharedArrayBuffer(8), /a SharedArrayBuffer/],
        'a view of one': [new Int32Array(new SharedArrayBuffer(8)), /a view of a SharedArrayBuffer/],
        'a DataView of one': [new DataView(new SharedArrayBuffer(8)), /a view of a SharedArrayBuffer/],
        'a MessagePort': [port1, /a MessagePort/],
        'an AbortSignal': [new AbortController().signal, /an? AbortSignal/],
        'a boxed number': [new Number(1), /a Number/],
        'a boxed string': [new String('a'), /a String/],
        'a boxed boolean': [new Boolean(false), /a Boolean/],
        'a boxed BigInt': [Object(1n), /a BigInt/],
        'a boxed symbol': [Object(Symbol('s')), /a Symbol/],
        'a function': [() => {}, /a function/],
        'a class': [class {}, /a function/],
        'a symbol': [Symbol('s'), /a symbol/],
        'a generator': [(function* () {})(), /a Generator/],
        'a Blob': [new Blob([]), /a Blob/],
        'an object with a kind of its own': [new Tagged(), /a Tagged/],
        'a Date of another realm': [runInNewContext('new Date()'), /a Date of another realm/],
        'a Map of another realm': [runInNewContext('new Map()'), /a Map of another realm/],
        ...('Float16Array' in globalThis && {
          'a Float16Array': [
            new (globalThis as unknown as { Float16Array: new (size: number) => unknown }).Float16Array(2),
            /a Float16Array/,
          ] as const,
        }),
      };
      for (const [kind, [value, what]] of Object.entries(KINDS)) {
        it(`is ${kind}, wherever it is`, () => {
          for (const codec of [msgpack(), msgpack({ cyclic: true })]) {
            refuses(codec, value, what);
            refuses(codec, { before: 1, list: [0, { deep: value }] }, /at \.list\[1\]\.deep:/);
            refuses(codec, { 'a key': new Map([['k', value]]) }, /at \["a key"\]\.get\("k"\):/);
            if (typeof value !== 'symbol') refuses(codec, new Set([value]), what);
            expect(exchange.carry(codec, { next: [1] })).to.deep.equal({ next: [1] });
          }
        });
      }

      it('leaves those who use msgpackr for themselves alone', () => {
        const own = new Packr();
        expect(own.unpack(own.pack({ ref: new WeakRef({}) }))).to.deep.equal({ ref: {} });
      });
    });

    it('carries what is derived from a Map, Set, typed array, array or error as that', () => {
      class Names extends Map<string, unknown> {}
      class Marks extends Set<number> {}
      class Floats extends Float32Array {}
      class List extends Array<number> {}
      class Failure extends Error {}
      const names = new Names([['a', new Names([['b', 1]])]]);
      for (const codec of [msgpack(), msgpack({ cyclic: true })]) {
        const arrived = exchange.carry<unknown>(codec, {
          names,
          again: names,
          marks: new Marks([1, 2]),
          floats: new Floats([1.5, -2]).subarray(1),
          list: List.of(1, 2),
          failure: new Failure('failed'),
        }) as { [name in 'names' | 'again' | 'marks' | 'floats' | 'list' | 'failure']: unknown };
        const map = new Map([['a', new Map([['b', 1]])]]);
        expect(arrived.names).to.deep.equal(map);
        expect(arrived.again).to.deep.equal(map);
        expect(arrived.marks).to.deep.equal(new Set([1, 2]));
        expect(arrived.floats).to.deep.equal(new Float32Array([-2]));
        expect(arrived.list).to.deep.equal([1, 2]);
        expect(arrived.failure).to.be.instanceOf(Error).with.property('message', 'failed');
      }
    });

    it('carries an instance of a class as a plain object, or as what its toJSON gives', () => {
      class Point {
        readonly #hidden = 3;
        readonly x = 1;
        get y(): number {
          return this.#hidden;
        }
      }
      class Money {
        readonly cents = 5n;
        toJSON(): unknown {
          return { cents: `${this.cents}` };
        }
      }
      class Prices extends Map<string, Money> {
        toJSON(): unknown {
          return [...this.keys()];
        }
      }
      const url = new URL('http://a.b/c');
      const bare = Object.assign(Object.create(null), { a: 1 });
      const value = {
        point: new Point(),
        money: new Money(),
        url,
        bare,
        prices: new Prices([['tea', new Money()]]),
      };
      expect(exchange.carry<unknown>(msgpack(), value)).to.deep.equal({
        point: { x: 1 },
        money: { cents: '5' },
        url: 'http://a.b/c',
        bare: { a: 1 },
        prices: ['tea'],
      });
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
