import { openEnd } from '../channel/ringChannel.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import type { CarriedPort, Carrier, RingPortHandle } from './carrier.js';
import { Inbox } from './inbox.js';
import { Outbox } from './outbox.js';
import { Scratch } from './scratch.js';
import { structured } from './structured.js';
import { type DrivenEnd, driveEnd, refChanged, stirEnd, undriveEnd } from './threadDriver.js';

/** Between threads: in memory that both share, moved in the event loop of the thread, which nobody polls. */
export class ThreadCarrier implements Carrier, DrivenEnd {
  readonly connection: Connection;
  readonly #memory: RingPortHandle['memory'];
  readonly #role: RingPortHandle['role'];
  readonly #port: CarriedPort;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;

  /** Throws ERR_ALREADY_CONNECTED, ERR_SEGMENT. */
  constructor(handle: RingPortHandle, port: CarriedPort) {
    const scratch = new Scratch();
    this.#memory = handle.memory;
    this.#role = handle.role;
    this.#port = port;
    this.connection = openEnd(handle.memory, handle.role);
    this.#outbox = new Outbox(this.connection, structured, scratch, handle.waiting);
    this.#inbox = new Inbox(this.connection, structured, scratch, handle.parts);
    driveEnd(this);
  }

  get waitingBytes(): number {
    return this.#outbox.waitingBytes;
  }

  get refed(): boolean {
    return this.#port.refed;
  }

  get delivers(): boolean {
    return this.#port.delivers;
  }

  post(value: unknown): void {
    this.#outbox.post(value, 0);
  }

  stir(): void {
    stirEnd(this);
  }

  refChanged(): void {
    refChanged();
  }

  end(): void {
    undriveEnd(this);
    this.connection.close();
  }

  detach(): Omit<RingPortHandle, 'kind' | 'highWaterMark'> {
    const waiting = this.#outbox.take();
    const { parts } = this.#inbox;
    undriveEnd(this);
    this.connection.side.handOver(0);
    return { memory: this.#memory, role: this.#role, waiting, parts };
  }

  /** Sends what waits, and delivers one message: its listeners may await it before the next one comes. */
  poll(): boolean {
    const port = this.#port;
    if (port.state === 'closed') return false;
    let moved = this.#outbox.flush();
    if (this.#outbox.waitingBytes === 0) port.drained();
    if (port.delivers) {
      try {
        if (this.#inbox.next()) {
          this.#deliver();
          return true;
        }
      } catch (error) {
        if (!(error instanceof TcpshmError && error.code === 'ERR_PROTOCOL')) throw error;
        port.deliver(undefined, error);
        port.shut();
        return true;
      }
    }
    if (this.#isOver()) {
      port.shut();
      moved = true;
    }
    return moved;
  }

  #deliver(): void {
    const { value, error } = this.#inbox;
    this.#inbox.value = undefined;
    this.#port.deliver(value, error);
  }

  /** Whether there is nothing to wait for any more. */
  #isOver(): boolean {
    const { state, awaits } = this.#port;
    if (state === 'closed') return false;
    const { side } = this.connection;
    // The end comes after the messages, which wait for somebody who listens.
    if (awaits && side.ends.consumer.unseen) return false;
    if (side.pollLink(0)) return false;
    // What the other port has posted before its end is in the ring by now.
    return !(awaits && side.ends.consumer.unseen);
  }
}
