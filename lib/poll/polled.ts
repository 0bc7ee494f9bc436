import type { Connection } from '../connection/connection.js';
import type { Sleep } from '../connection/sleep.js';
import { ENDED, READABLE, type Sleeper, type Waker, WRITABLE } from './waker.js';

/** So often one that is cold is looked at, for heartbeats and silence. */
export const SWEEPS_PER_HEARTBEAT = 3;
/** While something is under way that only polls see, there is one after so many milliseconds. */
export const RESTLESS_MS = 1;

/** What a group polls together: the queues of shared memory, or sockets. */
export type GroupKind = 'shm' | 'tcp';

export function kindOf(connection: Pick<Connection, 'transport'>): GroupKind {
  return connection.transport === 'tcp' ? 'tcp' : 'shm';
}

/** What became of one that was to become cold: it has, something that only polls see is under way, or something moves. */
export type Rest = 'cold' | 'restless' | 'stirring';

/**
 * A connection that is polled. While it is hot, a poll visits it; cold, it costs a poll nothing: its peer rings a bell
 * and its socket tells the kernel wait when there is something to do.
 */
export class Polled implements Sleeper {
  readonly connection: Connection;
  readonly group: number;
  readonly kind: GroupKind;
  /** Visits since something moved. */
  idle = 0;
  #hot = true;
  readonly #sleep: Sleep;
  readonly #waker: Waker;
  readonly #token: number;
  readonly #heated: (polled: Polled) => void;
  /** The socket that the waker listens to. */
  #listened: number | null = null;
  #gone = false;

  /** `heated` is called when it has become hot again. */
  constructor(connection: Connection, group: number, waker: Waker, heated: (polled: Polled) => void) {
    this.connection = connection;
    this.group = group;
    this.kind = kindOf(connection);
    this.#sleep = connection.side.sleep;
    this.#waker = waker;
    this.#heated = heated;
    this.#token = waker.register(this);
    connection.side.onWritten = () => waker.wake();
  }

  get hot(): boolean {
    return this.#hot;
  }

  stir(): void {
    // What has come for one that has left may be on its way still.
    if (this.#hot || this.#gone) return;
    this.#hot = true;
    this.#onStir(null);
    this.#sleep.unpark();
    this.connection.side.measures.wakeups++;
    this.#heated(this);
    // Whoever stirs it may not be who visits it: a poll by hand beside a driver that sleeps, say.
    this.#waker.wake();
  }

  /**
   * Becomes cold, if nothing is to be done and somebody will tell when there is: its peer, its socket, or its user, who
   * pushes more than the socket takes. Else it stays hot. `delivers` tells whether messages are handed to a handler.
   */
  cool(delivers: boolean): Rest {
    const sleep = this.#sleep;
    if (!this.#hot) return 'cold';
    if (sleep.awaited(delivers)) return 'stirring';
    if (sleep.restless || !this.#listen()) return 'restless';
    if (sleep.rung) {
      const bell = this.#waker.bellFor(this.#token);
      if (bell === null) return 'restless';
      const parked = sleep.park(bell, delivers);
      if (parked !== 'parked') return parked;
    }
    this.#onStir(() => this.stir());
    this.#hot = false;
    return 'cold';
  }

  /** It is polled no more. */
  leave(): void {
    this.#gone = true;
    this.#waker.forget(this.#token);
    this.#onStir(null);
    // Nobody is to ring a bell that is not his any more.
    if (!this.#hot) this.#sleep.unpark();
    this.connection.side.onWritten = null;
    // A socket that was closed is not listened to any more, and its number may be another one's.
    if (this.#listened !== null && this.#sleep.wire?.fd === this.#listened)
      this.#waker.unlisten(this.#listened);
  }

  /** What this thread does itself, or node:net in it, needs no bell. */
  #onStir(call: (() => void) | null): void {
    const { wire } = this.#sleep;
    this.#sleep.onStir = call;
    if (wire?.onStir !== undefined) wire.onStir = call;
  }

  /** Has the socket tell when it can be read, or written if something waits for that. False if it cannot. */
  #listen(): boolean {
    const { wire, sending } = this.#sleep;
    if (wire === null) return true;
    if (wire.fd === undefined) return wire.onStir !== undefined;
    if (!this.#waker.hears) return false;
    // Beside shared memory a socket tells of the peer's end. Its heartbeats are for the next look, and wake nobody.
    const interest = this.kind === 'shm' ? ENDED : sending ? READABLE | WRITABLE : READABLE;
    this.#waker.listen(wire.fd, this.#token, interest, this.#listened === wire.fd);
    this.#listened = wire.fd;
    return true;
  }
}
