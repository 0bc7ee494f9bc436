import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL } from '../connection/connection.js';
import { type Polled, RESTLESS_MS, SWEEPS_PER_HEARTBEAT } from './polled.js';
import type { PolledSet } from './polledSet.js';

/** Whose connections they are. */
export interface ServiceHost {
  readonly onMessage: ConnectionHandlers['onMessage'];
  /** The link of a connection has ended, or its peer wrote what it must not: it is to be disconnected. */
  ended(connection: Connection): void;
  /** A handler threw. What this throws, the poll throws. */
  threw(connection: Connection, error: unknown): void;
  /** Most messages that a visit hands out. Default {@link MESSAGES_PER_POLL}. */
  readonly messagesPerTurn?: number;
}

/** What a poll does for the connections of a set: hands out messages, lets the links work, and notices their ends. */
export class Service {
  readonly #polled: PolledSet;
  readonly #host: ServiceHost;
  readonly #sweepMs: number;
  readonly #limit: number;
  #now = 0;
  #settled = false;
  #awaited = false;

  constructor(polled: PolledSet, heartbeatIntervalMs: number, host: ServiceHost) {
    this.#polled = polled;
    this.#host = host;
    this.#sweepMs = heartbeatIntervalMs / SWEEPS_PER_HEARTBEAT;
    this.#limit = host.messagesPerTurn ?? MESSAGES_PER_POLL;
  }

  /** Keeps up the links that no visit does: those beside shared memory, and those of connections that are cold. */
  control(now: number): void {
    this.#now = now;
    this.#polled.look('shm', this.#watchLink);
    this.#polled.sweep(now, this.#sweepMs, this.#watchCold);
  }

  /** Visits the connections over tcp of a group: receives, hands out messages, sends. True if anything moved. */
  tcp(now: number, group: number): boolean {
    this.#now = now;
    return this.#polled.visit('tcp', group, this.#serveTcp);
  }

  /** The same for shared memory, which needs no time. */
  shm(group: number): boolean {
    return this.#polled.visit('shm', group, this.#serveShm);
  }

  /**
   * Lets all become cold, and gives for how many milliseconds their thread may sleep at most: 0 when there is something
   * to do. `busy` when there is something else that only polls see.
   */
  park(busy: boolean): number {
    const rest = this.#polled.settle();
    if (rest === 'stirring') return 0;
    return rest === 'restless' || busy ? RESTLESS_MS : this.#sweepMs;
  }

  /** After a sleep: has all visited, if they are so few that to ask who has something takes longer. False if not. */
  rouse(): boolean {
    return this.#polled.rouse();
  }

  /**
   * Whether somebody awaits what comes over a connection, or has done so: what goes on with promises needs turns, also
   * between polls that find nothing.
   */
  get awaited(): boolean {
    return this.#awaited;
  }

  /** Whether a visit has settled promises since this was last asked: they need their turn. */
  takeSettled(): boolean {
    const settled = this.#settled;
    this.#settled = false;
    return settled;
  }

  readonly #serveTcp = ({ connection }: Polled): boolean => {
    const { side } = connection;
    const drained = side.drainWriters();
    const alive = side.pollLink(this.#now);
    this.#deliver(connection);
    if (!alive) this.#host.ended(connection);
    return side.delivery.takeMoved() || drained || !alive;
  };

  readonly #serveShm = ({ connection }: Polled): boolean => {
    const { side } = connection;
    const drained = side.drainWriters();
    this.#deliver(connection);
    return side.delivery.takeMoved() || drained;
  };

  readonly #watchLink = ({ connection }: Polled): void => {
    if (!connection.side.pollLink(this.#now)) this.#host.ended(connection);
  };

  /** What came over a link that is not visited is for a visit. */
  readonly #watchCold = (polled: Polled): void => {
    const { connection, kind } = polled;
    const alive = connection.side.pollLink(this.#now);
    if (!alive || connection.side.delivery.takeMoved() || connection.side.sleep.sending) polled.stir();
    if (!alive && kind === 'shm') this.#host.ended(connection);
  };

  #deliver(connection: Connection): void {
    const { side } = connection;
    const { delivery } = side;
    if (side.ends.closed) return;
    if (delivery.attended) this.#awaited = true;
    try {
      delivery.serve(this.#host.onMessage, this.#limit);
    } catch (error) {
      // What a peer wrote into a ring is its fault, whoever met it.
      const culprit = this.#polled.culprit(error);
      if (culprit === null) this.#host.threw(connection, error);
      else this.#host.ended(culprit);
    } finally {
      if (delivery.takeSettled()) this.#settled = true;
    }
  }
}
