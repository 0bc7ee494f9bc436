import type { ByteStream as Wire } from '../memory/byteStream.js';

export type { Wire };

/** Waits for peers at an address. */
export interface Listener {
  /** Where: a port of 0 has become the real one. */
  readonly address: Address;
  /** Descriptor that can be read when a peer waits, where there is one. */
  readonly fd?: number;
  /** Where there is none, but something that tells: called when a peer waits. */
  onStir?: (() => void) | null;
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
