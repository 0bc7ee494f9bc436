import { isDeepStrictEqual } from 'node:util';
import { TcpshmError } from '../errors.js';
import { keyFinder, type SharedKeys } from '../login/keys.js';
import type { Door } from '../login/loginHost.js';
import { choice, flag, type PeerSettings } from '../options.js';
import { READABLE, type Waker } from '../poll/waker.js';
import { checkAddress, isLoopback } from '../wire/address.js';
import { listenNative } from '../wire/nativeWire.js';
import { listenNet } from '../wire/netWire.js';
import { listenThreads } from '../wire/threadWire.js';
import { checkTlsListen, type TlsContextOptions, type TlsListenOptions } from '../wire/tlsOptions.js';
import { listenTls, type TlsListener } from '../wire/tlsWire.js';
import type { Address, Listener } from '../wire/wire.js';

/** Where to listen: a port of TCP (0 for any free one), a Unix socket, or for the threads of this process. */
export type ListenOptions =
  | {
      readonly host?: string;
      readonly port: number;
      /**
       * TLS, by node:tls whatever `wire` is: then nobody comes in without. With shared memory the login goes over TLS,
       * and then messages through memory of this host.
       */
      readonly tls?: TlsListenOptions;
      /** A client must prove that it has one of these keys, and is shown that the server has it. */
      readonly keys?: SharedKeys;
      /**
       * Whoever reaches the address may log in, or `acceptLogin` finds out who it is: must be said (true) to listen on
       * anything but loopback without `keys`, and without `tls` that wants certificates of clients.
       */
      readonly allowUnauthenticated?: boolean;
    }
  | { readonly path: string; readonly keys?: SharedKeys }
  | { readonly transport: 'inproc' };

/** Threads that want to log in are seen by polls. */
const KNOCK_MS = 10;

/** The addresses of a server, and how clients that come wake its thread. */
export class Doors {
  readonly #server: string;
  readonly #settings: PeerSettings;
  readonly #maxPendingLogins: number;
  readonly #waker: Waker;
  /** What has listeners heard again whose clients were told of. */
  readonly #unheard: (() => void)[] = [];
  readonly #listeners: Listener[] = [];
  readonly #secured: TlsListener[] = [];
  /** Whether threads may knock, who wake nobody. */
  #knocks = false;

  constructor(server: string, settings: PeerSettings, maxPendingLogins: number, waker: Waker) {
    this.#server = server;
    this.#maxPendingLogins = maxPendingLogins;
    this.#settings = settings;
    this.#waker = waker;
  }

  /** Throws ERR_OPTION where connections could not be handed to threads. */
  checkPassable(options: ListenOptions): void {
    if ('transport' in options) return;
    const tls = 'port' in options && options.tls !== undefined;
    if (!tls && this.#settings.wire === 'native') return;
    throw new TcpshmError(
      'ERR_OPTION',
      `groups.worker needs wire 'native' for sockets: those of node:${tls ? 'tls' : 'net'} belong to the thread that` +
        ' has accepted them',
    );
  }

  /** What a client must do that comes to an address. Throws ERR_OPTION, ERR_INSECURE. */
  check(options: ListenOptions): Door {
    const { keys } = options as { keys?: SharedKeys };
    if (keys !== undefined && 'transport' in options) {
      throw new TcpshmError(
        'ERR_OPTION',
        "keys are for sockets: transport 'inproc' takes none, as threads of one process have no secrets",
      );
    }
    if ('port' in options) {
      checkAddress({ host: options.host ?? '127.0.0.1', port: options.port });
      throwIfOpen(options);
    }
    return { keys: keys === undefined ? null : keyFinder(keys) };
  }

  /** Throws ERR_LISTEN, ERR_OPTION. */
  open(options: ListenOptions): Promise<Listener> | Listener {
    if ('transport' in options) {
      choice(options.transport, 'transport', ['inproc']);
      return listenThreads(this.#server);
    }
    const address =
      'path' in options ? { path: options.path } : { host: options.host ?? '127.0.0.1', port: options.port };
    checkAddress(address);
    const { tls } = options as { tls?: TlsListenOptions };
    if (tls !== undefined) {
      if ('path' in address) throw new TcpshmError('ERR_OPTION', 'tls goes with a host and port, got a path');
      checkTlsListen(tls);
      return this.#openTls(address, tls);
    }
    return this.#settings.wire === 'native'
      ? listenNative(address, this.#settings)
      : listenNet(address, this.#settings);
  }

  async #openTls(
    address: { readonly host: string; readonly port: number },
    tls: TlsListenOptions,
  ): Promise<Listener> {
    const listener = await listenTls(address, tls, this.#settings, {
      handshakeTimeoutMs: this.#settings.loginTimeoutMs,
      maxHandshakes: this.#maxPendingLogins,
    });
    this.#secured.push(listener);
    return listener;
  }

  /** Has the next handshakes at an address, or at all, use these. Throws ERR_OPTION. */
  setSecureContext(options: TlsContextOptions, address: Address | null): void {
    const meant = this.#secured.filter(
      (listener) => address === null || isDeepStrictEqual(listener.address, address),
    );
    if (meant.length === 0) {
      const where = address === null ? '' : `, not at ${JSON.stringify(address)}`;
      throw new TcpshmError('ERR_OPTION', `the server '${this.#server}' does not listen with TLS${where}`);
    }
    for (const listener of meant) listener.setSecureContext(options);
  }

  /** Has clients that come there wake this thread, from the next sleep on. */
  hear(listener: Listener): void {
    this.#listeners.push(listener);
    const { fd } = listener;
    if (fd !== undefined) {
      let known = false;
      const listen = (): void => {
        this.#waker.listen(fd, token, READABLE, known);
        known = true;
      };
      const token = this.#waker.register({ stir: () => this.#unheard.push(listen) });
      this.#unheard.push(listen);
    } else if (listener.onStir !== undefined) listener.onStir = () => this.#waker.wake();
    else this.#knocks = true;
  }

  /** Whether listening keeps the process, where a listener does so by itself. */
  keep(alive: boolean): void {
    for (const listener of this.#listeners) listener.keep?.(alive);
  }

  /** Before a sleep of so many milliseconds: gives how long it may be, as far as clients that come are concerned. */
  sleep(restMs: number): number {
    for (const listen of this.#unheard.splice(0)) listen();
    return this.#knocks ? Math.min(KNOCK_MS, restMs) : restMs;
  }
}

/** Throws ERR_INSECURE where other hosts could log in, and nobody has said that they may. */
function throwIfOpen(options: Extract<ListenOptions, { readonly port: number }>): void {
  const { host = '127.0.0.1', tls, keys } = options;
  if (flag(options.allowUnauthenticated, 'allowUnauthenticated', false) || isLoopback(host)) return;
  if (keys !== undefined || (tls?.requestCert === true && tls.rejectUnauthorized !== false)) return;
  throw new TcpshmError(
    'ERR_INSECURE',
    `whoever reaches ${JSON.stringify(host)} could log in: listen with tls and requestCert, or with keys, or on` +
      ' 127.0.0.1, or say allowUnauthenticated: true if acceptLogin or the network decides who may',
  );
}
