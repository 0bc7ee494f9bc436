import { TcpshmError } from '../errors.js';
import { choice, type PeerSettings } from '../options.js';
import { READABLE, type Waker } from '../poll/waker.js';
import { checkAddress } from '../wire/address.js';
import { listenNative } from '../wire/nativeWire.js';
import { listenNet } from '../wire/netWire.js';
import { listenThreads } from '../wire/threadWire.js';
import type { Listener } from '../wire/wire.js';

/** Where to listen: a port of TCP (0 for any free one), a Unix socket, or for the threads of this process. */
export type ListenOptions =
  | { readonly host?: string; readonly port: number }
  | { readonly path: string }
  | { readonly transport: 'inproc' };

/** Threads that want to log in are seen by polls. */
const KNOCK_MS = 10;

/** The addresses of a server, and how clients that come wake its thread. */
export class Doors {
  readonly #server: string;
  readonly #settings: PeerSettings;
  readonly #waker: Waker;
  /** What has listeners heard again whose clients were told of. */
  readonly #unheard: (() => void)[] = [];
  readonly #listeners: Listener[] = [];
  /** Whether threads may knock, who wake nobody. */
  #knocks = false;

  constructor(server: string, settings: PeerSettings, waker: Waker) {
    this.#server = server;
    this.#settings = settings;
    this.#waker = waker;
  }

  /** Throws ERR_OPTION where connections could not be handed to threads. */
  checkPassable(options: ListenOptions): void {
    if ('transport' in options || this.#settings.wire === 'native') return;
    throw new TcpshmError(
      'ERR_OPTION',
      "groups.worker needs wire 'native' for sockets: those of node:net belong to the thread that has accepted them",
    );
  }

  /** Throws ERR_LISTEN, ERR_OPTION. */
  open(options: ListenOptions): Promise<Listener> | Listener {
    if ('transport' in options) {
      choice(options.transport, 'transport', ['inproc']);
      return listenThreads(this.#server);
    }
    const address = 'path' in options ? options : { host: options.host ?? '127.0.0.1', port: options.port };
    checkAddress(address);
    return this.#settings.wire === 'native'
      ? listenNative(address, this.#settings)
      : listenNet(address, this.#settings);
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
