/**
 * A login between two sides that share a key, neither of which sends it. Each message of the login after the first two
 * carries a seal: a hash with the key over all that was said so far, by whom, and over the message itself.
 *
 *     client                                                   server
 *       │ claim: id of the key, 32 random bytes                  │
 *       ├───────────────────────────────────────────────────────►│ also goes on where it does not know the key
 *       │                             challenge: 32 random bytes │
 *       │◄───────────────────────────────────────────────────────┤
 *       │ seal, hello: names, transport, user data               │
 *       ├───────────────────────────────────────────────────────►│ the client has the key; acceptLogin()
 *       │                     seal, welcome: session, positions  │
 *       │◄───────────────────────────────────────────────────────┤ the server has the key
 *       │ seal, attach: session, positions                       │
 *       ├───────────────────────────────────────────────────────►│
 *       │                                         seal, attached │
 *       │◄───────────────────────────────────────────────────────┤
 *
 *     seal = HMAC-SHA-256(key, "tcpshm login", version, sender, SHA-256(transcript up to and with this message))
 *     transcript = [what TLS gives to both ends], and of each message: sender, kind, length, bytes
 *
 * So a seal is of no use in another login (the random bytes of both sides), for another message, name or session (the
 * transcript), sent back to who made it (the sender), by a peer of another version, or, over TLS, by somebody in the
 * middle who speaks TLS with both. A `reject` has no seal: whoever is in the middle can end a login anyway.
 *
 * It protects the login alone. What follows is neither secret nor protected against changes on the way: that is for TLS.
 */
import { createHash, createHmac, type Hash, timingSafeEqual } from 'node:crypto';
import { TcpshmError } from '../errors.js';
import { type FrameKind, PROTOCOL_VERSION } from './frame.js';
import type { Role } from './names.js';

const SEAL_BYTES = 32;

/** Shortest key: what no one can guess, if it is random. */
export const MIN_KEY_BYTES = 16;

/** What one side of a login seals and opens. */
export class Seal {
  readonly #key: Uint8Array;
  readonly #side: Role;
  readonly #transcript: Hash = createHash('sha256');

  /** `binding` is what both ends of the connection know beside the key: of TLS; empty without. */
  constructor(key: Uint8Array, side: Role, binding: Uint8Array) {
    this.#key = key;
    this.#side = side;
    this.#add(binding);
  }

  /** Takes a message into the transcript that has no seal: the claim and the challenge. */
  note(sender: Role, kind: FrameKind, message: Uint8Array): void {
    this.#transcript.update(Uint8Array.of(sender === 'client' ? 1 : 2, kind));
    this.#add(padded(message));
  }

  /** A message of this side, sealed. */
  seal(kind: FrameKind, message: Uint8Array): Uint8Array {
    this.note(this.#side, kind, message);
    return Buffer.concat([this.#hash(this.#side), padded(message)]);
  }

  /** What is in a sealed message of the other side. Throws ERR_AUTHENTICATION unless it has sealed it with the same key. */
  open(kind: FrameKind, payload: Uint8Array): Uint8Array {
    const sender = this.#side === 'client' ? 'server' : 'client';
    const message = payload.subarray(SEAL_BYTES);
    this.note(sender, kind, message);
    if (
      payload.length < SEAL_BYTES ||
      !timingSafeEqual(this.#hash(sender), payload.subarray(0, SEAL_BYTES))
    ) {
      throw new TcpshmError(
        'ERR_AUTHENTICATION',
        `the ${sender} did not prove that it has the same key: both must give the same secret for its id`,
      );
    }
    return message;
  }

  #hash(sender: Role): Buffer {
    return createHmac('sha256', this.#key)
      .update(`tcpshm login\0${PROTOCOL_VERSION}\0${sender}\0`)
      .update(this.#transcript.copy().digest())
      .digest();
  }

  #add(bytes: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    this.#transcript.update(length).update(bytes);
  }
}

/** As a frame carries it. */
function padded(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((message.length + 7) & -8);
  bytes.set(message);
  return bytes;
}
