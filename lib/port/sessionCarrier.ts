import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/delivery.js';
import { TcpshmError } from '../errors.js';
import type { CarriedPort, Carrier } from './carrier.js';
import { Outbox } from './outbox.js';
import { Scratch } from './scratch.js';
import { FIRST, SessionInbox } from './sessionInbox.js';
import { structured } from './structured.js';

/**
 * Over a connection, whatever is between the peers: moved by whoever polls that. A value is popped when those who listen
 * have returned, so it comes again if they throw or the process dies in them.
 */
export class SessionCarrier implements Carrier, Reader {
  readonly #connection: Connection;
  readonly #port: CarriedPort;
  readonly #outbox: Outbox;
  readonly #inbox: SessionInbox;
  /** Whether what waits for room is in the connection's list of those who do. */
  #listed = false;
  #delivering = false;

  /** The connection has no reader yet. */
  constructor(connection: Connection, port: CarriedPort) {
    const scratch = new Scratch();
    this.#connection = connection;
    this.#port = port;
    this.#outbox = new Outbox(connection, structured, scratch, [], FIRST);
    this.#inbox = new SessionInbox(connection, structured, scratch);
    connection.side.delivery.reader = this;
    this.refChanged();
  }

  get waitingBytes(): number {
    return this.#outbox.waitingBytes;
  }

  get wants(): boolean {
    return this.#port.delivers;
  }

  post(value: unknown): void {
    this.#outbox.post(value, 0);
    if (this.#outbox.waitingBytes === 0 || this.#listed) return;
    this.#listed = true;
    this.#connection.side.room
      .add(() => this.#flush(), undefined)
      .then(
        () => {
          if (this.#outbox.waitingBytes === 0) this.#port.drained();
        },
        // The connection has ended, which `closed` or its polls tell.
        () => {},
      );
  }

  stir(): void {
    const { side, state } = this.#connection;
    side.sleep.stir();
    // Nobody polls it meanwhile.
    if (state === 'disconnected') queueMicrotask(() => this.#look());
  }

  refChanged(): void {
    this.#connection.side.refed = this.#port.refed;
  }

  end(): void {
    if (this.#connection.state === 'closed') return;
    // What a listener was given that has closed the port.
    if (this.#delivering) this.#inbox.done();
    this.#connection.close();
  }

  detach(): never {
    const { remoteName } = this.#connection;
    throw new TcpshmError(
      'ERR_OPTION',
      `a port over the connection to '${remoteName}' stays in its thread: others can have a writer of it`,
    );
  }

  /** Listeners have had what they get. */
  get settles(): boolean {
    return false;
  }

  visit(limit: number): boolean {
    if (this.#delivering) return false;
    this.#delivering = true;
    try {
      let any = false;
      for (let i = 0; i < limit && this.#port.delivers && this.#found(); i++) {
        any = true;
        this.#port.deliver(this.#inbox.value, this.#inbox.error);
        if (this.#connection.state === 'closed') break;
        this.#inbox.done();
      }
      return any;
    } finally {
      this.#delivering = false;
    }
  }

  closed(): void {
    this.#port.shut();
  }

  #flush(): boolean {
    this.#outbox.flush();
    this.#listed = this.#outbox.waitingBytes > 0;
    return !this.#listed;
  }

  /** Whether there is a value. That the peer has no port ends this one. */
  #found(): boolean {
    try {
      return this.#inbox.next();
    } catch (error) {
      const foreign = error instanceof TcpshmError && error.code === 'ERR_PROTOCOL';
      // What the peer wrote into the ring and must not have is for a poll to tell.
      if (!foreign || this.#connection.side.ends.isTold(error)) throw error;
      this.#port.deliver(undefined, error);
      this.#port.shut();
      return false;
    }
  }

  #look(): void {
    const { side } = this.#connection;
    try {
      this.visit(Number.POSITIVE_INFINITY);
    } catch (error) {
      if (this.#connection.state !== 'closed' && !side.ends.isTold(error)) throw error;
    }
  }
}
