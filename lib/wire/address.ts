import { lookup } from 'node:dns/promises';
import { lstatSync } from 'node:fs';
import { isIP } from 'node:net';
import { TcpshmError } from '../errors.js';
import type { Patience, Wire } from './wire.js';

/** Where a socket listens or connects. */
export type SocketAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** An address for people. */
export function shownAddress(address: SocketAddress | Wire): string {
  if ('receive' in address) return shownPeer(address);
  if ('path' in address) return address.path;
  return isIP(address.host) === 6 ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function shownPeer(wire: Wire): string {
  try {
    return wire.remoteAddress() || 'a local socket';
  } catch {
    // Of a socket that was handed to this thread after its peer had reset it.
    return 'a peer that is gone';
  }
}

/** The numeric addresses of a host, in the order of the system, at least one. Rejects with the error of the resolver. */
export async function resolveHost(host: string, patience?: Patience): Promise<[string, ...string[]]> {
  if (isIP(host) !== 0) return [host];
  const found = lookup(host, { all: true });
  let waiting = patience !== undefined;
  const settled = (): void => {
    waiting = false;
  };
  found.then(settled, settled);
  while (waiting) await patience?.pause();
  return (await found).map(({ address }) => address) as [string, ...string[]];
}

/** Whether a path is that of a socket: what a process that died may have left. Anything else there is not ours. */
export function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

/** Throws ERR_OPTION unless host and port, or path, can be an address. */
export function checkAddress(address: SocketAddress): void {
  if ('path' in address) {
    if (typeof address.path === 'string' && address.path !== '') return;
    throw new TcpshmError(
      'ERR_OPTION',
      `path must be the path of a Unix socket, got ${JSON.stringify(address.path)}`,
    );
  }
  if (typeof address.host !== 'string' || address.host === '') {
    throw new TcpshmError(
      'ERR_OPTION',
      `host must be a name or an address, got ${JSON.stringify(address.host)}`,
    );
  }
  if (!Number.isInteger(address.port) || address.port < 0 || address.port > 65535) {
    throw new TcpshmError(
      'ERR_OPTION',
      `port must be an integer from 0 to 65535, got ${String(address.port)}`,
    );
  }
}

/** Whether only this host can reach an address. A name, but for localhost, may be anything at any time. */
export function isLoopback(host: unknown): boolean {
  if (typeof host !== 'string') return false;
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export function cannotConnect(address: SocketAddress, cause: unknown): TcpshmError {
  if (cause instanceof TcpshmError) return cause;
  return new TcpshmError(
    'ERR_CONNECT',
    `cannot connect to ${shownAddress(address)}: ${reasonOf(cause)}`,
    cause,
  );
}

export function cannotListen(address: SocketAddress, cause: unknown): TcpshmError {
  if (cause instanceof TcpshmError) return cause;
  return new TcpshmError(
    'ERR_LISTEN',
    `cannot listen on ${shownAddress(address)}: ${reasonOf(cause)}`,
    cause,
  );
}

/** An AggregateError, of a host with several addresses, has no message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  return (cause as Error).message;
}
