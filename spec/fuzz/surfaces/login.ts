import { isDeepStrictEqual } from 'node:util';
import { ERROR_CODES } from '../../../lib/errors.js';
import { FRAME_HEADER_BYTES } from '../../../lib/session/frame.js';
import {
  decodeAttach,
  decodeHello,
  decodeReject,
  decodeWelcome,
  encodeAttach,
  encodeHello,
  encodeReject,
  encodeWelcome,
  MAX_LOGIN_BYTES,
} from '../../../lib/session/loginMessages.js';
import type { Point, SideState } from '../../../lib/session/state.js';
import { helloFrame } from '../../support/frames.js';
import type { Random } from '../../support/random.js';
import { mutate, randomBytes } from '../mutate.js';
import { refusesAtMost, require, type Surface } from '../surface.js';

interface Kind {
  valid(random: Random): Uint8Array;
  /** Decodes, and encodes what came out. */
  again(bytes: Uint8Array): { readonly value: unknown; readonly bytes: Uint8Array };
}

const SESSION = '0123456789abcdef';

function point(random: Random): Point {
  return { position: random.next(), sequence: random.next() };
}

function state(random: Random): SideState {
  return {
    acknowledged: point(random),
    pushed: point(random),
    popped: point(random),
    received: point(random),
  };
}

function name(random: Random): string {
  return 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-'.slice(0, random.between(1, 63));
}

function userData(random: Random): Uint8Array {
  return randomBytes(random, random.once(20) ? MAX_LOGIN_BYTES : random.below(40));
}

function kindOf<T>(
  valid: (random: Random) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): Kind {
  return {
    valid,
    again(bytes) {
      const value = decode(bytes);
      return { value, bytes: encode(value) };
    },
  };
}

const KINDS: readonly Kind[] = [
  kindOf(
    (random) =>
      helloFrame(name(random), {
        server: random.once(2) ? '' : name(random),
        transport: random.pick(['auto', 'inproc', 'shm', 'tcp'] as const),
        clientToServer: random.pick([0, 4096, 65536, 2 ** 30]),
        login: userData(random),
      }).subarray(FRAME_HEADER_BYTES),
    decodeHello,
    encodeHello,
  ),
  kindOf(
    (random) =>
      encodeWelcome({
        server: name(random),
        transport: random.pick(['inproc', 'shm', 'tcp'] as const),
        sessionId: SESSION,
        clientToServer: random.pick([4096, 65536]),
        serverToClient: random.pick([4096, 2 ** 20]),
        protocolVersion: random.pick([0, 1, 0xffff_ffff]),
        path: random.once(2) ? '' : `/dev/shm/${name(random)}`,
        state: state(random),
        reply: userData(random),
      }),
    decodeWelcome,
    encodeWelcome,
  ),
  kindOf(
    (random) =>
      encodeAttach({
        outcome: random.pick(['attached', 'mismatch', 'cannot share memory'] as const),
        sessionId: SESSION,
        state: state(random),
      }),
    decodeAttach,
    encodeAttach,
  ),
  kindOf(
    (random) =>
      encodeReject({ code: random.pick(ERROR_CODES), reason: name(random).repeat(random.below(20)) }),
    decodeReject,
    encodeReject,
  ),
];

/** What both sides say to each other before they know each other. */
export const login: Surface = {
  what: 'hello, welcome, attach and reject, damaged, cut, of another kind or of random bytes',
  run(random) {
    const kind = random.pick(KINDS);
    const valid = random.once(8) ? random.pick(KINDS).valid(random) : kind.valid(random);
    const bytes = random.once(32) ? randomBytes(random, random.below(300)) : mutate(valid, random);
    refusesAtMost(['ERR_PROTOCOL', 'ERR_NAME', 'ERR_CAPACITY'], () => {
      const first = kind.again(bytes);
      // What was taken is within all bounds: so it can be said again, and means the same.
      const second = kind.again(first.bytes);
      require(isDeepStrictEqual(second.value, first.value), () =>
        `taken as ${JSON.stringify(first.value)}, said again as ${JSON.stringify(second.value)}`);
    });
  },
};
