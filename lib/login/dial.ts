import { TcpshmError } from '../errors.js';
import { native } from '../memory/native.js';
import { abortSignal, checkOptions, choice, loginBytes, type PeerSettings } from '../options.js';
import { memoryOnDisk } from '../session/agreement.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { WantedTransport } from '../session/loginMessages.js';
import { checkName } from '../session/names.js';
import { checkAddress } from '../wire/address.js';
import { connectNative } from '../wire/nativeWire.js';
import { connectNet } from '../wire/netWire.js';
import { connectThreads } from '../wire/threadWire.js';
import { checkTls, type TlsConnectOptions } from '../wire/tlsOptions.js';
import { connectTls } from '../wire/tlsWire.js';
import type { Patience, Wire } from '../wire/wire.js';
import { checkKey, type SharedKey } from './keys.js';

/** What to connect to, and how. */
export type ConnectOptions = {
  /** The only server that will do: its name. Any, if left out; needed for 'inproc'. */
  readonly server?: string;
  /** User data for the server's `acceptLogin`, at most 4096 bytes. */
  readonly login?: Uint8Array;
  /** Ends the attempt: it is rejected with its reason, and nothing is left behind. It counts for this one alone. */
  readonly signal?: AbortSignal;
} & (
  | {
      readonly host?: string;
      readonly port: number;
      readonly transport?: 'auto' | 'shm' | 'tcp';
      /**
       * TLS, by node:tls whatever `wire` is; true for its defaults. A function is asked for each login, so that attempts
       * to connect again use what was renewed. With shared memory the login goes over TLS, and then messages through
       * memory of this host.
       */
      readonly tls?: true | TlsConnectOptions | (() => TlsConnectOptions);
      /** The server must prove that it has this key, as this side does. */
      readonly key?: SharedKey;
    }
  | { readonly path: string; readonly key?: SharedKey; readonly transport?: 'auto' | 'shm' | 'tcp' }
  | { readonly transport: 'inproc'; readonly server: string }
);

/** Options of `connect`, checked. */
export interface Target {
  readonly options: ConnectOptions;
  readonly transport: WantedTransport;
  readonly server: string;
  readonly login: Uint8Array;
  readonly key: SharedKey | null;
}

/** Throws ERR_OPTION, ERR_NAME, ERR_NATIVE_MISSING. What it gives stays the same, whatever becomes of the options. */
export function checkTarget(options: ConnectOptions, durability: DurabilityLevel): Target {
  checkOptions(options);
  let transport = choice(options.transport, 'transport', ['auto', 'shm', 'tcp', 'inproc']) ?? 'auto';
  if (durability === 'disk') {
    if (transport === 'auto') transport = 'tcp';
    if (transport !== 'tcp') throw new TcpshmError('ERR_OPTION', memoryOnDisk('client', transport));
  }
  const server = options.server === undefined ? '' : checkName(options.server, 'server');
  const login = new Uint8Array(loginBytes(options.login, 'login'));
  if (transport === 'shm') native();
  abortSignal(options.signal);
  checkTlsTarget(options);
  const { key } = options as { key?: SharedKey };
  if (key !== undefined && transport === 'inproc') {
    throw new TcpshmError(
      'ERR_OPTION',
      "a key is for sockets: transport 'inproc' takes none, as threads of one process have no secrets",
    );
  }
  return {
    options: { ...options },
    transport,
    server,
    login,
    key: key === undefined ? null : checkKey(key),
  };
}

/** Connects a wire to where a server listens. Throws ERR_CONNECT, ERR_OPTION, and what the patience throws. */
export function dial(
  { options, transport, server }: Target,
  settings: PeerSettings,
  patience: Patience,
): Promise<Wire> | Wire {
  if (transport === 'inproc') {
    if (server === '') throw new TcpshmError('ERR_OPTION', "transport 'inproc' needs the name of the server");
    return connectThreads(server);
  }
  const address =
    'path' in options
      ? { path: options.path }
      : 'port' in options
        ? { host: options.host ?? '127.0.0.1', port: options.port }
        : null;
  if (address === null) {
    const got = Object.keys(options).join(', ') || 'neither';
    throw new TcpshmError('ERR_OPTION', `a host and port or a path to connect to was expected, got ${got}`);
  }
  checkAddress(address);
  const tls = tlsOf(options);
  if (tls !== null && address.path === undefined) return connectTls(address, tls, settings, patience);
  return settings.wire === 'native'
    ? connectNative(address, settings, patience)
    : connectNet(address, settings, patience);
}

function checkTlsTarget(options: ConnectOptions): void {
  const { tls } = options as { tls?: unknown };
  if (tls === undefined) return;
  if (!('port' in options) || 'path' in options) {
    const got = 'path' in options ? 'a path' : `transport '${options.transport}'`;
    throw new TcpshmError('ERR_OPTION', `tls goes with a host and port, got ${got}`);
  }
  if (typeof tls !== 'function') tlsOf(options);
}

/** Options of TLS, checked, as they are now; null for none. */
function tlsOf(options: ConnectOptions): TlsConnectOptions | null {
  if (!('port' in options) || options.tls === undefined) return null;
  const { tls } = options;
  const now = tls === true ? {} : typeof tls === 'function' ? tls() : tls;
  checkTls(now);
  return now;
}
