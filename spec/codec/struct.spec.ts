import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  array,
  bytes,
  type Cursor,
  type Elements,
  type Fields,
  type Kind,
  type Struct,
  struct,
  text,
  type Values,
} from '../../lib/index.js';
import { LEAVING } from '../ring/rings.js';
import { expectCode } from '../support/failure.js';
import { Random } from '../support/random.js';
import { Exchange } from './exchange.js';

const quote = struct({
  flag: 'bool',
  price: 'f64',
  side: 'i8',
  quantity: 'u32',
  symbol: text(8),
  id: 'u64',
  legs: array('i32', 3),
  key: bytes(3),
  venue: struct({ code: 'u16', delay: 'f32' }),
});

const VALUES: Values<typeof quote.fields> = {
  flag: true,
  price: 101.25,
  side: -1,
  quantity: 4_000_000_000,
  symbol: 'žluť',
  id: 2n ** 64n - 1n,
  legs: [1, -2, 3],
  key: Buffer.from([1, 2, 3]),
  venue: { code: 65_535, delay: 0.5 },
};

/** Compiles only if a value has exactly this type. */
function exactly<T>() {
  return <U>(value: U, ..._same: [T] extends [U] ? ([U] extends [T] ? [] : [never]) : [never]): U => value;
}

describe('struct', () => {
  let exchange: Exchange;
  beforeEach(() => {
    exchange = new Exchange();
  });
  afterEach(() => {
    exchange.close();
  });

  /** A cursor over a message that is not pushed. */
  function allocated<F extends Fields>(layout: Struct<F>): Cursor<F> {
    const cursor = layout.alloc(exchange.sender);
    if (cursor === null) throw new Error('the queue is full');
    return cursor;
  }

  it('writes and reads fields in place', () => {
    const out = allocated(quote);
    out.flag = true;
    out.price = 101.25;
    out.side = -1;
    out.quantity = 4_000_000_000;
    out.symbol = 'žluť';
    out.id = 2n ** 64n - 1n;
    out.legs.set(0, 1);
    out.legs.set(1, -2);
    out.legs.set(2, 3);
    out.key = Buffer.from([1, 2, 3]);
    out.venue.code = 65_535;
    out.venue.delay = 0.5;
    exchange.sender.push();
    const message = exchange.receiver.front();
    if (message === null) throw new Error('nothing has arrived');
    const read = quote.of(message);
    expect([read.flag, read.price, read.side, read.quantity]).to.deep.equal([
      true,
      101.25,
      -1,
      4_000_000_000,
    ]);
    expect([read.symbol, read.id, ...read.legs]).to.deep.equal(['žluť', 2n ** 64n - 1n, 1, -2, 3]);
    expect([...read.key, read.venue.code, read.venue.delay]).to.deep.equal([1, 2, 3, 65_535, 0.5]);
    expect(quote.decode(message)).to.deep.equal(VALUES);
  });

  it('carries whole values, as a codec', () => {
    expect(exchange.carry(quote, VALUES)).to.deep.equal(VALUES);
  });

  it('reads what a DataView wrote at the same offsets, and writes what one reads', () => {
    const out = allocated(quote);
    const message = exchange.sender.alloc(quote.sizeBytes);
    if (message === null) throw new Error('the queue is full');
    message.setFloat64(quote.offsetOf('price'), 7.5);
    message.setInt32(quote.offsetOf('legs') + 4, -9);
    expect(out.price).to.equal(7.5);
    expect(out.legs.get(1)).to.equal(-9);
    out.quantity = 77;
    expect(message.getUint32(quote.offsetOf('quantity'))).to.equal(77);
  });

  it('gives the same cursor again for the same end of a queue, and another one for the other end', () => {
    const out = allocated(quote);
    out.price = 1;
    exchange.sender.push();
    const message = exchange.receiver.front();
    if (message === null) throw new Error('nothing has arrived');
    const read = quote.of(message);
    const next = allocated(quote);
    next.price = 2;
    expect(next).to.equal(out);
    expect(read).not.to.equal(out);
    expect([read.price, next.price]).to.deep.equal([1, 2]);
  });

  it('shows its fields, and nothing else of its own', () => {
    const out = allocated(quote);
    expect(Object.keys(out)).to.have.members(['legs', 'venue']);
    expect(JSON.parse(JSON.stringify(struct({ a: 'u8' }).alloc(exchange.sender)))).to.deep.equal({});
  });

  it('begins with zeroes, whatever was there before', () => {
    for (let i = 0; i < 3; i++) {
      const out = allocated(quote);
      expect([out.price, out.id, out.symbol, ...out.legs]).to.deep.equal([0, 0n, '', 0, 0, 0]);
      out.price = 5;
      out.symbol = '12345678';
      out.legs.assign([1, 2, 3]);
      if (i === 1) {
        exchange.sender.push();
        exchange.receiver.front();
        exchange.receiver.pop();
      }
    }
  });

  it('begins with zeroes where it is large, whatever the queue has there', () => {
    for (const count of [60, 3000, 10_000]) {
      const { sender, receiver } = exchange;
      receiver.side.ends.consumer.clearing = LEAVING;
      const numbers = struct({ all: array('f64', count) });
      for (let i = 0; i < 40; i++) {
        const out = numbers.alloc(sender);
        if (out === null) throw new Error('the queue is full');
        expect(new Set(out.all), `${count} numbers, ${i}`).to.deep.equal(new Set([0]));
        out.all.assign(Array.from({ length: count }, () => 5));
        sender.push();
        receiver.front();
        receiver.pop();
      }
    }
  });

  it('keeps text that fills its room, and leaves nothing of longer text before', () => {
    const out = allocated(quote);
    out.symbol = '12345678';
    expect(out.symbol).to.equal('12345678');
    out.symbol = 'ab';
    expect(out.symbol).to.equal('ab');
    out.symbol = '';
    expect(out.symbol).to.equal('');
  });

  it('refuses what is out of range, and changes nothing then', () => {
    const wrong: [keyof typeof VALUES, unknown][] = [
      ['flag', 1],
      ['price', '1'],
      ['side', 128],
      ['side', 0.5],
      ['quantity', -1],
      ['quantity', 2 ** 32],
      ['id', 5],
      ['id', -1n],
      ['id', 2n ** 64n],
      ['symbol', 'ninechars'],
      ['symbol', 'éééé+'],
      ['symbol', 'a\0b'],
      ['key', Buffer.alloc(2)],
      ['key', [1, 2, 3]],
    ];
    const out = allocated(quote);
    for (const [name, value] of wrong) {
      const before = out[name];
      expectCode(() => Object.assign(out, { [name]: value }), 'ERR_CODEC', new RegExp(`'${name}'`));
      expect(out[name], `${name} after ${String(value)}`).to.deep.equal(before);
    }
    expectCode(() => out.legs.set(0, 2 ** 31), 'ERR_CODEC');
    expectCode(() => out.legs.assign([1, 2]), 'ERR_CODEC');
    expectCode(() => out.legs.assign([1, 2, 2 ** 40]), 'ERR_CODEC');
    expect([...out.legs]).to.deep.equal([0, 0, 0]);
    const legs = { ...VALUES, legs: [1, 2] };
    expectCode(() => quote.encode(exchange.sender, legs), 'ERR_CODEC', /'legs'/);
    const venue = { ...VALUES, venue: { code: -1, delay: 0 } };
    expectCode(() => quote.encode(exchange.sender, venue), 'ERR_CODEC', /'code'/);
  });

  it('leaves nothing allocated when a value is refused', () => {
    expectCode(() => quote.encode(exchange.sender, { ...VALUES, side: 200 }), 'ERR_CODEC');
    expectCode(() => exchange.sender.push(), 'ERR_NO_MESSAGE');
  });

  it('throws a RangeError for an index beyond an array', () => {
    const out = allocated(quote);
    for (const index of [-1, 3, 0.5]) {
      expect(() => out.legs.get(index)).to.throw(RangeError);
      expect(() => out.legs.set(index, 1)).to.throw(RangeError);
    }
  });

  it('refuses a message of another size', () => {
    exchange.sender.send(Buffer.alloc(quote.sizeBytes + 8));
    const message = exchange.receiver.front();
    if (message === null) throw new Error('nothing has arrived');
    expectCode(() => quote.of(message), 'ERR_CODEC', /bytes/);
    expectCode(() => quote.decode(message), 'ERR_CODEC', /bytes/);
  });

  it('touches nothing once its message was pushed', () => {
    const out = allocated(quote);
    exchange.sender.push();
    for (const use of [
      () => out.price,
      () => Object.assign(out, { price: 1 }),
      () => out.legs.get(0),
      () => out.legs.assign([1, 2, 3]),
      () => out.venue.code,
      () => out.symbol,
      () => Object.assign(out, { symbol: 'a' }),
      () => out.key,
    ]) {
      expect(use, String(use)).to.throw(RangeError);
    }
  });

  it('has fields of any name that C takes', () => {
    const odd = struct({ message: 'u8', base: 'u8', constructor: 'u8', toString: 'u8', _0: 'u8' });
    const values = { message: 1, base: 2, constructor: 3, toString: 4, _0: 5 };
    expect(exchange.carry<unknown>(odd as never, values)).to.deep.equal(values);
    for (const name of ['', '1a', 'a-b', 'int', '__proto__', 'é']) {
      expectCode(() => struct(Object.fromEntries([[name, 'u8']]) as Fields), 'ERR_OPTION');
    }
  });

  it('checks its fields', () => {
    expectCode(() => struct({}), 'ERR_OPTION');
    expectCode(() => struct({ a: 'u128' as Kind }), 'ERR_OPTION');
    expectCode(() => struct({ a: null as unknown as Kind }), 'ERR_OPTION');
    expectCode(() => text(0), 'ERR_OPTION');
    expectCode(() => bytes(1.5), 'ERR_OPTION');
    expectCode(() => array('i32', -1), 'ERR_OPTION');
    expectCode(() => array('text' as Kind, 1), 'ERR_OPTION');
  });

  it('is told apart by its layout, unless it is named', () => {
    expect(struct({ a: 'u8', b: 'u8' }).name).to.equal(struct({ a: 'u8', b: 'u8' }).name);
    expect(struct({ a: 'u8', b: 'u8' }).name).not.to.equal(struct({ b: 'u8', a: 'u8' }).name);
    expect(struct({ a: 'u8' }).name).not.to.equal(struct({ a: 'i8' }).name);
    const { name, version } = struct({ a: 'u8' }, { name: 'a', version: 7 });
    expect([name, version]).to.deep.equal(['a', 7]);
  });

  it('knows its types', () => {
    const out = allocated(quote);
    exactly<number>()(out.price);
    exactly<bigint>()(out.id);
    exactly<boolean>()(out.flag);
    exactly<string>()(out.symbol);
    exactly<Uint8Array>()(out.key);
    exactly<Elements<number>>()(out.legs);
    exactly<number>()(out.venue.code);
    const values = quote.decode(exchange.sender.alloc(quote.sizeBytes) as never);
    exactly<readonly number[]>()(values.legs);
    exactly<bigint>()(values.id);
    // @ts-expect-error: there is no such field
    expect(out.missing).to.equal(undefined);
    // @ts-expect-error: a number
    expectCode(() => quote.encode(exchange.sender, { ...VALUES, price: '1' }), 'ERR_CODEC');
  });

  describe('beside a C compiler', function () {
    this.timeout(60_000);

    before(function () {
      try {
        execFileSync('gcc', ['--version'], { stdio: 'ignore' });
      } catch {
        console.log('      there is no gcc here: the layout is not compared');
        this.skip();
      }
    });

    /** What C says of the offsets of fields, and the size. */
    function layoutInC(structs: readonly Struct<Fields>[]): number[][] {
      const folder = mkdtempSync(join(tmpdir(), 'tcpshm-struct-'));
      try {
        const lines = ['#include <stddef.h>', '#include <stdio.h>'];
        for (const [i, layout] of structs.entries()) lines.push(layout.toC(`s${i}`));
        lines.push('int main(void) {');
        for (const [i, layout] of structs.entries()) {
          for (const name of Object.keys(layout.fields)) {
            lines.push(`  printf("%zu ", offsetof(struct s${i}, ${name}));`);
          }
          lines.push(`  printf("%zu %zu\\n", sizeof(struct s${i}), _Alignof(struct s${i}));`);
        }
        lines.push('  return 0;', '}');
        writeFileSync(join(folder, 'layout.c'), lines.join('\n'));
        execFileSync('gcc', ['-std=c11', '-Wall', '-Werror', '-o', 'layout', 'layout.c'], { cwd: folder });
        const printed = execFileSync(join(folder, 'layout'), { encoding: 'utf8' });
        return printed
          .trim()
          .split('\n')
          .map((line) => line.split(' ').map(Number));
      } finally {
        rmSync(folder, { recursive: true });
      }
    }

    function layoutHere(layout: Struct<Fields>): number[] {
      const offsets = Object.keys(layout.fields).map((name) => layout.offsetOf(name));
      return [...offsets, layout.sizeBytes, layout.alignment];
    }

    it('has the layout that C gives to its declaration, of whatever fields', () => {
      const seed = Date.now() >>> 0;
      console.log(`      seed ${seed}`);
      const random = new Random(seed);
      const layouts = [quote as unknown as Struct<Fields>];
      for (let i = 0; i < 50; i++) layouts.push(anyStruct(random, 2));
      expect(layoutInC(layouts)).to.deep.equal(layouts.map(layoutHere));
    });
  });
});

const KIND_NAMES: readonly Kind[] = [
  'i8',
  'u8',
  'i16',
  'u16',
  'i32',
  'u32',
  'i64',
  'u64',
  'f32',
  'f64',
  'bool',
];

function anyStruct(random: Random, depth: number): Struct<Fields> {
  const fields: Record<string, Fields[string]> = {};
  const count = random.between(1, 8);
  for (let i = 0; i < count; i++) {
    const kind = KIND_NAMES[random.below(KIND_NAMES.length)] as Kind;
    const length = random.between(1, 9);
    const choices = [kind, kind, text(length), bytes(length), array(kind, length)];
    fields[`field${i}`] =
      depth > 0 && random.once(5)
        ? (anyStruct(random, depth - 1) as unknown as Fields[string])
        : (choices[random.below(choices.length)] as Fields[string]);
  }
  return struct(fields);
}
