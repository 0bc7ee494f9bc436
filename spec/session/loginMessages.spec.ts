import { expect } from 'chai';
import fc from 'fast-check';
import { ERROR_CODES, TcpshmError } from '../../lib/errors.js';
import {
  type Attach,
  decodeAttach,
  decodeHello,
  decodeReject,
  decodeWelcome,
  encodeAttach,
  encodeHello,
  encodeReject,
  encodeWelcome,
  type Hello,
  MAX_LOGIN_BYTES,
  type Reject,
  type Welcome,
} from '../../lib/session/loginMessages.js';
import type { SideState } from '../../lib/session/state.js';
import { expectCode } from '../support/failure.js';

const u32 = fc.nat(2 ** 32 - 1);
const name = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$/);
const point = fc.record({ position: u32, sequence: fc.maxSafeNat() });
const state: fc.Arbitrary<SideState> = fc.record({
  acknowledged: point,
  pushed: point,
  popped: point,
  received: point,
});
const milliseconds = fc
  .double({ min: 0, max: 1e9, noNaN: true, noDefaultInfinity: true })
  .filter((ms) => !Object.is(ms, -0));
const sessionId = fc.stringMatching(/^[0-9a-f]{16}$/);
const data = fc.uint8Array({ maxLength: 300 });

const capacity = fc.integer({ min: 12, max: 30 }).map((bits) => 2 ** bits);
const wanted = fc.oneof(capacity, fc.constant(0));

const hello: fc.Arbitrary<Hello> = fc.record({
  client: name,
  server: fc.oneof(name, fc.constant('')),
  transport: fc.constantFrom('auto', 'inproc', 'shm', 'tcp'),
  bootId: fc.constantFrom('', '01234567-89ab-cdef-0123-456789abcdef'),
  clientToServer: wanted,
  serverToClient: wanted,
  overTcp: fc.record({ clientToServer: wanted, serverToClient: wanted }),
  heartbeatIntervalMs: milliseconds,
  connectionTimeoutMs: milliseconds,
  codec: fc.constantFrom('', 'msgpack@1', 'größe@2'),
  protocol: fc.constantFrom(
    { name: '', oldest: 0, newest: 0 },
    { name: 'größe', oldest: 1, newest: 1 },
    { name: 'shop', oldest: 2, newest: 0xffffffff },
  ),
  login: data,
});
const welcome: fc.Arbitrary<Welcome> = fc.record({
  server: name,
  transport: fc.constantFrom('inproc', 'shm', 'tcp'),
  sessionId,
  clientToServer: capacity,
  serverToClient: capacity,
  path: fc.constantFrom('', '/dev/shm/a/b@c.segment', '/tmp/größe/😀'),
  state,
  protocolVersion: fc.nat(),
  reply: data,
});
const attach: fc.Arbitrary<Attach> = fc.record({
  outcome: fc.constantFrom('attached', 'mismatch', 'cannot share memory'),
  sessionId,
  state,
});
const reject: fc.Arbitrary<Reject> = fc.record({
  code: fc.constantFrom(...ERROR_CODES),
  reason: fc.string({ unit: 'grapheme', maxLength: 60 }),
});

/** Each kind of message. `tail`: bytes at the end that can be missing and are read as shorter data. */
const MESSAGES = [
  ['hello', hello, encodeHello, decodeHello],
  ['welcome', welcome, encodeWelcome, decodeWelcome],
  ['attach', attach, encodeAttach, decodeAttach],
  ['reject', reject, encodeReject, decodeReject],
] as unknown as readonly (readonly [
  string,
  fc.Arbitrary<unknown>,
  (message: unknown) => Uint8Array,
  (bytes: Uint8Array) => unknown,
])[];

/** Decodes what may be nonsense: null when it was refused as it must be. */
function decoded(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    expect(error, String(error)).to.be.instanceOf(TcpshmError);
    expect((error as TcpshmError).code).to.equal('ERR_PROTOCOL');
    expect((error as TcpshmError).message).to.match(/is not valid: expected .+ to be .+, got /);
    return null;
  }
}

for (const [kind, arbitrary, encode, decode] of MESSAGES) {
  describe(`the login message ${kind}`, () => {
    it('comes as it was sent, with or without the padding of its frame', () => {
      fc.assert(
        fc.property(arbitrary, fc.nat(7), (message, padding) => {
          const bytes = encode(message);
          expect(decode(bytes)).to.deep.equal(message);
          expect(decode(Buffer.concat([bytes, new Uint8Array(padding)]))).to.deep.equal(message);
        }),
      );
    });

    it('is refused when it is cut short anywhere', () => {
      fc.assert(
        fc.property(arbitrary, (message) => {
          const bytes = encode(message);
          for (let end = 0; end < bytes.length; end++) {
            expect(decoded(decode, bytes.subarray(0, end)), `${end} of ${bytes.length} bytes`).to.equal(null);
          }
        }),
        { numRuns: 20 },
      );
    });

    it('is refused when more follows than padding', () => {
      fc.assert(
        fc.property(arbitrary, fc.integer({ min: 8, max: 64 }), (message, more) => {
          expect(decoded(decode, Buffer.concat([encode(message), new Uint8Array(more)]))).to.equal(null);
        }),
        { numRuns: 20 },
      );
    });

    it('is refused or valid, but never another failure, whatever the bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
          decoded(decode, bytes);
        }),
        { numRuns: 500 },
      );
    });

    it('is refused or valid when a byte of it has changed: what comes out can be sent again', () => {
      fc.assert(
        fc.property(arbitrary, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, place, change) => {
          const bytes = Uint8Array.from(encode(message));
          const at = place % bytes.length;
          bytes[at] = (bytes[at] as number) ^ change;
          const other = decoded(decode, bytes);
          if (other !== null) expect(decode(encode(other))).to.deep.equal(other);
        }),
        { numRuns: 500 },
      );
    });

    it('keeps nothing of the memory it was read from', () => {
      fc.assert(
        fc.property(arbitrary, (message) => {
          const bytes = Uint8Array.from(encode(message));
          const result = decode(bytes);
          bytes.fill(0xff);
          expect(result).to.deep.equal(message);
        }),
        { numRuns: 20 },
      );
    });
  });
}

describe('the fields of login messages', () => {
  const HELLO = fc.sample(hello, { numRuns: 1, seed: 1 })[0] as Hello;
  const WELCOME = fc.sample(welcome, { numRuns: 1, seed: 1 })[0] as Welcome;

  it('hold user data up to the limit', () => {
    const login = new Uint8Array(MAX_LOGIN_BYTES).fill(7);
    expect(decodeHello(encodeHello({ ...HELLO, login })).login).to.deep.equal(login);
    const more = encodeHello({ ...HELLO, login: new Uint8Array(MAX_LOGIN_BYTES + 1) });
    expectCode(() => decodeHello(more), 'ERR_PROTOCOL', /user data to be at most 4096 bytes, got 4097/);
  });

  it('hold names that can be names only', () => {
    for (const bad of ['', '..', 'a/b', 'x'.repeat(64)]) {
      expectCode(() => decodeHello(encodeHello({ ...HELLO, client: bad })), 'ERR_PROTOCOL', /client name/);
      expectCode(
        () => decodeWelcome(encodeWelcome({ ...WELCOME, server: bad })),
        'ERR_PROTOCOL',
        /server name/,
      );
    }
    for (const bad of ['', '0123', '0123456789abcdeg', '0123456789ABCDEF', '../../../../../x']) {
      expectCode(
        () => decodeWelcome(encodeWelcome({ ...WELCOME, sessionId: bad })),
        'ERR_PROTOCOL',
        /session id/,
      );
    }
  });

  it('hold versions that are a range from 1 only, and none without a name', () => {
    for (const [name, oldest, newest] of [
      ['x', 2, 1],
      ['x', 0, 0],
      ['', 0, 1],
    ] as const) {
      expectCode(
        () => decodeHello(encodeHello({ ...HELLO, protocol: { name, oldest, newest } })),
        'ERR_PROTOCOL',
        /versions of the protocol/,
      );
    }
  });

  it('hold times that can be times only', () => {
    for (const bad of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      expectCode(
        () => decodeHello(encodeHello({ ...HELLO, heartbeatIntervalMs: bad })),
        'ERR_PROTOCOL',
        /heartbeat interval to be a finite number/,
      );
    }
  });

  it('hold capacities that a ring can have only', () => {
    for (const bad of [1, 2048, 4097, 2 ** 31, 2 ** 32 - 1]) {
      for (const [hello, message] of [
        [{ ...HELLO, clientToServer: bad }, /capacity from client to server to be/],
        [{ ...HELLO, serverToClient: bad }, /capacity from server to client to be/],
        [{ ...HELLO, overTcp: { clientToServer: 0, serverToClient: bad } }, /over tcp to be/],
      ] as const) {
        expectCode(() => decodeHello(encodeHello(hello)), 'ERR_PROTOCOL', message);
      }
    }
    for (const bad of [0, 4097]) {
      expectCode(
        () => decodeWelcome(encodeWelcome({ ...WELCOME, serverToClient: bad })),
        'ERR_PROTOCOL',
        /capacity/,
      );
    }
  });

  it('hold whole sequences only', () => {
    for (const bad of [0.5, -1, 2 ** 53, Number.NaN]) {
      const pushed = { position: 0, sequence: bad };
      const bytes = encodeWelcome({ ...WELCOME, state: { ...WELCOME.state, pushed } });
      expectCode(() => decodeWelcome(bytes), 'ERR_PROTOCOL', /sequence/);
    }
  });

  it('never offer a transport that was not decided on', () => {
    const bytes = encodeWelcome({ ...WELCOME, server: 'x' });
    // Behind the length and the one letter of the name.
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(5, 0, true);
    expectCode(() => decodeWelcome(bytes), 'ERR_PROTOCOL', /one of inproc, shm, tcp, got number 0/);
  });

  it('shorten a reason, and turn unknown codes into a plain refusal', () => {
    const long = decodeReject(encodeReject({ code: 'ERR_OPTION', reason: '😀'.repeat(1000) }));
    expect(long.code).to.equal('ERR_OPTION');
    expect(long.reason.startsWith('😀😀')).to.equal(true);
    const newer = encodeReject({ code: 'ERR_OF_TOMORROW' as 'ERR_OPTION', reason: 'why' });
    expect(decodeReject(newer)).to.deep.equal({ code: 'ERR_LOGIN_REJECTED', reason: 'why' });
  });
});
