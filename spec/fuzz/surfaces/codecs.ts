import { inspect, isDeepStrictEqual } from 'node:util';
import { bytesCodec } from '../../../lib/codec/bytes.js';
import type { Codec } from '../../../lib/codec/codec.js';
import { json } from '../../../lib/codec/json.js';
import { msgpack } from '../../../lib/codec/msgpack.js';
import { textCodec } from '../../../lib/codec/text.js';
import { RECORDS } from '../../../lib/ring/layout.js';
import { Message } from '../../../lib/ring/message.js';
import { newRing } from '../../ring/rings.js';
import type { Random } from '../../support/random.js';
import { mutate, randomBytes } from '../mutate.js';
import { refusesAtMost, require, type Surface } from '../surface.js';

const CAPACITY = 65536;
const memory = newRing(0, 0, CAPACITY);
const message = new Message(memory);
/** Behind every message: must not be read, and not be written. */
const MARK = 0xa5;

/** Whole characters: half of a pair is no text, and arrives as U+FFFD. */
const LETTERS = [...'täxt\u{1f600}abcdefghijklmnopqrstuvwxyz'];

const sink = {
  alloc(size: number): Message | null {
    return message.wrap(RECORDS + 64, size, 1);
  },
};

function value(random: Random, depth = 3): unknown {
  const leaf = depth === 0 || random.once(3);
  switch (leaf ? random.below(7) : 7 + random.below(4)) {
    case 0:
      return null;
    case 1:
      return random.once(2);
    case 2:
      return random.next() | 0;
    case 3:
      return random.fraction();
    case 4:
      return LETTERS.slice(0, random.below(20))
        .join('')
        .repeat(random.pick([0, 1, 1, 20]));
    case 5:
      return BigInt(random.next()) << BigInt(random.below(80));
    case 6:
      return Buffer.from(randomBytes(random, random.below(20)));
    case 7:
    case 8:
      return Array.from({ length: random.below(5) }, () => value(random, depth - 1));
    case 9:
      return new Map(
        Array.from({ length: random.below(4) }, (_, i) => [`key ${i}`, value(random, depth - 1)]),
      );
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(5) }, (_, i) => [`field${i}`, value(random, depth - 1)]),
      );
  }
}

function plain(random: Random, depth = 3): unknown {
  if (depth === 0 || random.once(3))
    return random.pick([null, true, 7, -0.5, 'text', 'ü'.repeat(random.below(40))]);
  if (random.once(2)) return Array.from({ length: random.below(5) }, () => plain(random, depth - 1));
  return Object.fromEntries(
    Array.from({ length: random.below(5) }, (_, i) => [`f${i}`, plain(random, depth - 1)]),
  );
}

interface Kind {
  readonly codec: Codec<unknown>;
  value(random: Random): unknown;
}

const KINDS: readonly Kind[] = [
  { codec: msgpack() as Codec<unknown>, value },
  { codec: msgpack({ cyclic: true }) as Codec<unknown>, value },
  {
    codec: msgpack({
      records: [
        ['field0', 'field1'],
        ['field0', 'field1', 'field2'],
      ],
    }) as Codec<unknown>,
    value,
  },
  { codec: json() as Codec<unknown>, value: plain },
  { codec: textCodec as Codec<unknown>, value: (random) => 'täxt\u{1f600}'.repeat(random.below(30)) },
  { codec: bytesCodec as Codec<unknown>, value: (random) => randomBytes(random, random.below(100)) },
];

function encoded({ codec, value: make }: Kind, random: Random): Uint8Array | null {
  const original = make(random);
  let sent: Message | null = null;
  refusesAtMost(['ERR_CODEC'], () => {
    sent = codec.encode(sink, original);
  });
  const found = sent as Message | null;
  if (found === null) return null;
  const bytes = Uint8Array.from(found.bytes());
  const back: unknown = codec.decode(found);
  require(isDeepStrictEqual(asSent(back), asSent(original)), () =>
    `${codec.name}: sent ${inspect(original, { depth: 9 })}, got ${inspect(back, { depth: 9 })}`);
  return bytes;
}

/** -0 arrives as 0, and a view as its bytes. */
function asSent(it: unknown): unknown {
  return it instanceof Uint8Array ? [...it] : it;
}

/** What arrives in the messages of a channel. */
export const codecs: Surface = {
  what: 'msgpack, json, text and bytes: values there and back, and what was written, damaged',
  run(random) {
    const kind = random.pick(KINDS);
    const valid = encoded(kind, random);
    const bytes =
      valid === null || random.once(16) ? randomBytes(random, random.below(80)) : mutate(valid, random);
    const start = RECORDS + 64;
    memory.bytes.fill(MARK, start - 64, start + bytes.length + 64);
    memory.bytes.set(bytes, start);
    refusesAtMost(['ERR_CODEC'], () => {
      kind.codec.decode(message.wrap(start, bytes.length, 1));
    });
    const around = [
      memory.bytes.subarray(start - 64, start),
      memory.bytes.subarray(start + bytes.length, start + bytes.length + 64),
    ];
    require(around.every((part) => part.every((byte) => byte === MARK)), () =>
      `${kind.codec.name} wrote beside the message`);
    require(Buffer.compare(memory.bytes.subarray(start, start + bytes.length), bytes) === 0, () =>
      `${kind.codec.name} wrote into the message`);
  },
};
