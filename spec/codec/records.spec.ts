import { deepStrictEqual } from 'node:assert/strict';
import { expect } from 'chai';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { type Codec, type MsgpackOptions, msgpack } from '../../lib/index.js';
import { Scene } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { Exchange } from './exchange.js';

interface Order {
  readonly id: number;
  readonly symbol: string;
  readonly customer: { readonly name: string; readonly city: string };
}

const RECORDS = [
  ['id', 'symbol', 'customer'],
  ['name', 'city'],
] as const;
const ORDER: Order = { id: 7, symbol: 'ACME', customer: { name: 'A. Customer', city: 'Zürich' } };

describe('msgpack with records', () => {
  let exchange: Exchange;
  beforeEach(() => {
    exchange = new Exchange();
  });
  afterEach(() => {
    exchange.close();
  });

  const codecOf = <T = unknown>(options: MsgpackOptions = {}): Codec<T> =>
    msgpack<T>({ records: RECORDS, ...options });

  /** What arrives, of how many bytes. */
  function sizeOf(codec: Codec<unknown>, value: unknown): number {
    codec.encode(exchange.sender, value);
    exchange.sender.push();
    const size = exchange.receiver.front()?.size ?? 0;
    exchange.receiver.pop();
    return size;
  }

  it('carries objects with their keys by number and values, which arrive with their keys', () => {
    expect(exchange.carry(codecOf<Order>(), ORDER)).to.deep.equal(ORDER);
    expect(Object.keys(exchange.carry(codecOf<Order>(), ORDER))).to.deep.equal(Object.keys(ORDER));
    const texts = 'ACME'.length + 1 + 'A. Customer'.length + 1 + Buffer.byteLength('Zürich') + 1;
    expect(sizeOf(codecOf(), ORDER)).to.equal(texts + 1 + 2);
  });

  it('carries what is none of them just as well, next to them and in them', () => {
    const values = [
      { symbol: 'ACME', id: 7 },
      { id: 7, symbol: 'ACME' },
      { ...ORDER, more: true },
      {
        id: { name: 'x', city: [ORDER, { name: null, city: undefined }] },
        symbol: {},
        customer: { other: 1 },
      },
      [ORDER, new Map<unknown, unknown>([[ORDER, { a: 1 }]]), new Set([ORDER]), new Date(5), 5n, ORDER],
      {},
      null,
    ];
    for (const value of values) deepStrictEqual(exchange.carry(codecOf(), value), value);
  });

  it('carries buffers as such from the first message on', () => {
    const value = { name: Buffer.from('bytes'), city: [Buffer.from('more')] };
    deepStrictEqual(exchange.carry(codecOf(), value), value);
    deepStrictEqual(exchange.carry(codecOf<unknown>(), [Buffer.from('bytes'), ORDER]), [
      Buffer.from('bytes'),
      ORDER,
    ]);
  });

  it('carries any value there is', () => {
    const key = fc.oneof(
      fc.constantFrom('id', 'symbol', 'customer', 'name', 'city'),
      fc.string().filter((name) => name !== '__proto__'),
    );
    const values = [
      fc.boolean(),
      // There is no integer -0.
      fc.double().map((number) => number + 0),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(null, undefined),
      fc.date({ noInvalidDate: true }),
    ];
    const anything = fc.anything({ values, withBigInt: true, withMap: true, withSet: true, key });
    for (const codec of [codecOf(), codecOf({ cyclic: true })]) {
      fc.assert(
        fc.property(anything, (value) => deepStrictEqual(exchange.carry(codec, value), value)),
        { numRuns: 300, verbose: true },
      );
    }
  });

  it('carries more shapes than it numbers, again and again', () => {
    const codec = codecOf();
    const shapes = Array.from({ length: 200 }, (_, n) => ({ [`key ${n}`]: n, order: ORDER }));
    for (let round = 0; round < 3; round++) {
      for (const shape of shapes) expect(exchange.carry(codec, shape)).to.deep.equal(shape);
      expect(exchange.carry(codec, shapes)).to.deep.equal(shapes);
    }
  });

  it('is read message by message, whatever was sent before', () => {
    const writer = codecOf();
    for (const value of [{ other: 1 }, ORDER, [{ other: 1 }, { third: 3 }]]) {
      expect(exchange.carry(writer, value)).to.deep.equal(value);
      expect(exchange.carry(writer, value, codecOf())).to.deep.equal(value);
    }
  });

  it('keeps its records whatever a message defines in their place', () => {
    /** Numbers its own records from that of the first one that both sides know. */
    const other = new Packr({ structures: [], maxSharedStructures: 0, mapsAsObjects: false });
    const redefining = other.encode([{ wrong: 1 }, { worse: 2 }]);
    for (const first of [true, false]) {
      const reader = codecOf();
      if (!first) exchange.carry(codecOf(), ORDER, reader);
      for (const bytes of [redefining, redefining.subarray(0, -1)]) {
        try {
          exchange.decode(reader, bytes);
        } catch (error) {
          expect(error).to.deep.include({ code: 'ERR_CODEC' });
        }
        expect(exchange.carry(codecOf(), ORDER, reader)).to.deep.equal(ORDER);
      }
    }
  });

  it('makes of any bytes a value or ERR_CODEC', () => {
    const codec = codecOf();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          exchange.decode(codec, bytes);
        } catch (error) {
          expect(error).to.deep.include({ code: 'ERR_CODEC' });
        }
        expect(exchange.carry(codec, ORDER)).to.deep.equal(ORDER);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what contains itself unless it is told to carry that, and goes on', () => {
    interface Ring {
      id: number;
      symbol: string;
      customer?: Ring;
    }
    const ring: Ring = { id: 1, symbol: 'A' };
    ring.customer = ring;
    const codec = codecOf<unknown>();
    expectCode(() => codec.encode(exchange.sender, ring), 'ERR_CODEC', /cannot carry/);
    expect(exchange.carry(codec, ORDER)).to.deep.equal(ORDER);
    const arrived = exchange.carry(codecOf<Ring>({ cyclic: true }), ring, codecOf<Ring>());
    expect(arrived.customer).to.equal(arrived);
  });

  it('refuses what would arrive as something else', () => {
    const codec = codecOf<unknown>();
    expectCode(() => codec.encode(exchange.sender, { ...ORDER, id: () => 7 }), 'ERR_CODEC', /function/);
    expectCode(() => codec.encode(exchange.sender, { ...ORDER, id: new WeakMap() }), 'ERR_CODEC', /WeakMap/);
    expect(exchange.carry(codec, ORDER)).to.deep.equal(ORDER);
  });

  it('is named after its records, which a login compares', async () => {
    expect(codecOf().name).to.equal(codecOf({ cyclic: true }).name);
    const reordered = [['symbol', 'id', 'customer'], RECORDS[1]];
    expect(msgpack({ records: reordered }).name).not.to.equal(codecOf().name);
    const scene = new Scene();
    try {
      const address = await scene.address(scene.server({ codec: codecOf() }), 'inproc');
      await scene.refused(
        scene.client({ codec: msgpack({ records: reordered }) }).connect(address),
        'ERR_CODEC',
        /'msgpack-[0-9a-f]{12}@1'.*'msgpack-[0-9a-f]{12}@1'/,
      );
    } finally {
      await scene.end();
    }
  });

  it('checks its lists', () => {
    const wrong = [
      [],
      [[]],
      ['id'],
      [['id', 'id']],
      [['__proto__']],
      [[1]],
      'id',
      Array.from({ length: 33 }, (_, n) => [`key ${n}`]),
      [['a'], ['b'], ['a']],
    ];
    for (const records of wrong) {
      expectCode(() => msgpack({ records: records as unknown as string[][] }), 'ERR_OPTION', /record/);
    }
  });
});
