/**
 * A stream of bytes to one peer, never blocking. A native socket is one as it is; streams and ports of Node.js are
 * adapted. Belongs to one thread. A broken wire throws from `send` or `receive`.
 */
export interface Wire {
  /** Sends up to three ranges, in order, and returns how many bytes were taken: 0 when none are taken now. */
  send(
    a: Uint8Array,
    aStart: number,
    aLength: number,
    b?: Uint8Array,
    bStart?: number,
    bLength?: number,
    c?: Uint8Array,
    cStart?: number,
    cLength?: number,
  ): number;
  /** Receives up to `length` bytes: their count, 0 when none wait, -1 at the end of the stream. */
  receive(into: Uint8Array, start: number, length: number): number;
  /** For people: '127.0.0.1:80', a path, or which thread. */
  remoteAddress(): string;
  close(): void;
}

/** Waits for peers at an address. */
export interface Listener {
  /** Where: a port of 0 has become the real one. */
  readonly address: Address;
  /** The next peer, or null when none waits. */
  accept(): Wire | null;
  /** Gives the address up. Wires that were accepted stay. Idempotent. */
  close(): Promise<void>;
}

/** Where a server listens. */
export type Address =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
  | { readonly transport: 'inproc' };

/** How long a step of connecting may take, and how it lets other things happen meanwhile. */
export interface Patience {
  /** Throws what is to be thrown when time is up, else waits for a moment. */
  pause(): Promise<void>;
}
