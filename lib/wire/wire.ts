import type { TcpshmError } from '../errors.js';
import type { ByteStream } from '../memory/byteStream.js';
import type { TlsPeer } from './identity.js';

/** A stream of bytes to and from a peer, and what is known of him. */
export interface Wire extends ByteStream {
  /** What TLS knows of the peer, where it goes over TLS. */
  tlsPeer?(): TlsPeer;
  /** Where it goes over TLS: what both ends of this one connection know, and nobody else. */
  binding?(): Uint8Array;
}

/** Who decides about peers before there is a wire to them. */
export interface Guard {
  /** Whether a peer from this address, as `remoteAddress` gives it, may come in. */
  admits(address: string): boolean;
  /** One has not become a wire. */
  failed(address: string, error: TcpshmError): void;
}

/** Waits for peers at an address. */
export interface Listener {
  /** Where: a port of 0 has become the real one. */
  readonly address: Address;
  /** Descriptor that can be read when a peer waits, where there is one. */
  readonly fd?: number;
  /** Where there is none, but something that tells: called when a peer waits. */
  onStir?: (() => void) | null;
  /** Where peers must do something before they are wires: to be set by whoever accepts. */
  guard?: Guard | null;
  /** The next peer, or null when none waits. */
  accept(): Wire | null;
  /** Gives the address up. Wires that were accepted stay. Idempotent. */
  close(): Promise<void>;
  /** Says whether it keeps the process, where it does by itself. */
  keep?(alive: boolean): void;
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
