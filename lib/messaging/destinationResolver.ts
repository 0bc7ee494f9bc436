import { lookup } from 'node:dns/promises';
import { TcpshmError } from '../errors.js';
import type { ConnectOptions } from '../login/dial.js';

/** Gives the addresses of a destination: as often as it is asked, so that they may change. */
export type Resolver = () => readonly ConnectOptions[] | Promise<readonly ConnectOptions[]>;

/** An address, a list of them, or what gives one. */
export type DestinationAddresses = ConnectOptions | readonly ConnectOptions[] | Resolver;

/** The addresses that the name of a host has at the time, by the resolver of the system; each with this port. */
export function hostAddresses(
  host: string,
  port: number,
  options: { readonly transport?: 'auto' | 'shm' | 'tcp'; readonly server?: string } = {},
): Resolver {
  return async () => {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => ({ ...options, host: address, port }));
  };
}

/** Throws ERR_OPTION for what is none of the three. */
export function resolverOf(addresses: DestinationAddresses): Resolver {
  if (typeof addresses === 'function') return addresses;
  if (Array.isArray(addresses)) return () => addresses as readonly ConnectOptions[];
  if (typeof addresses === 'object' && addresses !== null) return () => [addresses as ConnectOptions];
  throw new TcpshmError(
    'ERR_OPTION',
    `an address, a list of addresses or a function that gives one was expected, got ${String(addresses)}`,
  );
}

/** What tells addresses apart. */
export function addressKey(address: ConnectOptions): string {
  const { transport = 'auto', server = '' } = address;
  const where =
    'path' in address ? address.path : 'port' in address ? `${address.host ?? ''}:${address.port}` : '';
  return `${transport} ${where} ${server}`;
}
