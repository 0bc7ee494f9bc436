import { randomBytes } from 'node:crypto';
import { TcpshmError } from '../errors.js';
import { isName, NAME_RULE } from '../session/names.js';
import { MIN_KEY_BYTES } from '../session/seal.js';

/** The key that a client shares with its server. */
export interface SharedKey {
  /** Which one it is: as a name may be. It goes over the line, the secret does not. */
  readonly id: string;
  /** At least 16 bytes, of a random source: 32 of `crypto.randomBytes` are right. A passphrase can be guessed. */
  readonly secret: Uint8Array;
}

/**
 * The secrets of an address, by their ids: while keys are exchanged it has the old and the new one. A function is asked
 * at each login, and gives null or undefined for what it does not know: so keys come and go without a restart.
 */
export type SharedKeys =
  | Readonly<Record<string, Uint8Array>>
  | ((id: string) => Uint8Array | null | undefined);

/** Finds the secret of an id, or one that nobody has: who guesses ids must not see which there are. */
export type KeyFinder = (id: string) => Uint8Array;

/** Checks what a server is given. Throws ERR_OPTION. */
export function keyFinder(keys: SharedKeys): KeyFinder {
  if (typeof keys === 'function') {
    return (id) => {
      const secret = keys(id);
      return secret == null ? randomBytes(MIN_KEY_BYTES) : checkSecret(secret, id);
    };
  }
  if (typeof keys !== 'object' || keys === null || Object.keys(keys).length === 0) {
    const got = typeof keys === 'object' && keys !== null ? 'none' : keys === null ? 'null' : typeof keys;
    throw new TcpshmError(
      'ERR_OPTION',
      `keys must be secrets by their ids, at least one, or a function, got ${got}`,
    );
  }
  const secrets = new Map(
    Object.entries(keys).map(([id, secret]) => [checkId(id), checkSecret(secret, id).slice()] as const),
  );
  return (id) => secrets.get(id) ?? randomBytes(MIN_KEY_BYTES);
}

/** Checks what a client is given, and makes a copy. Throws ERR_OPTION. */
export function checkKey(key: SharedKey): SharedKey {
  if (typeof key !== 'object' || key === null) {
    throw new TcpshmError('ERR_OPTION', `key must have an id and a secret, got ${typeof key}`);
  }
  return { id: checkId(key.id), secret: checkSecret(key.secret, key.id).slice() };
}

function checkId(id: unknown): string {
  if (typeof id === 'string' && isName(id)) return id;
  throw new TcpshmError('ERR_OPTION', `the id of a key must be ${NAME_RULE}, got ${JSON.stringify(id)}`);
}

/** Says nothing of the secret itself. */
function checkSecret(secret: unknown, id: string): Uint8Array {
  if (secret instanceof Uint8Array && secret.length >= MIN_KEY_BYTES) return secret;
  const got = secret instanceof Uint8Array ? `${secret.length} bytes` : typeof secret;
  throw new TcpshmError(
    'ERR_OPTION',
    `the secret of key '${id}' must be a Uint8Array of at least ${MIN_KEY_BYTES} bytes, got ${got}`,
  );
}
