import { EventEmitter } from 'node:events';
import { isArrayBufferView } from 'node:util/types';
import { createChannel, openEnd } from '../channel/ringChannel.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, count } from '../options.js';
import type { Role } from '../session/names.js';
import { Inbox } from './inbox.js';
import { type Listener, Listeners } from './listeners.js';
import { Outbox, type Waiting } from './outbox.js';
import { Scratch } from './scratch.js';
import { structured } from './structured.js';
import { driveEnd, refChanged, stirEnd, undriveEnd } from './threadDriver.js';

export interface RingPortOptions {
  /** Of each direction: a power of two from 4096 to 2^30. Default 2^20. */
  readonly capacityBytes?: number;
  /** From so many waiting bytes on `postMessage` gives false. Default 2^20. */
  readonly highWaterMark?: number;
}

/** A port that was given up in one thread, to be opened in another: plain data, posted as it is. */
export interface RingPortHandle {
  readonly kind: 'tcpshm.RingPortHandle';
  readonly memory: SharedArrayBuffer;
  readonly role: Role;
  readonly highWaterMark: number;
  /** What has not gone out yet, and what has arrived of a message that is not complete. */
  readonly waiting: readonly Waiting[];
  readonly parts: readonly Uint8Array[];
}

const HIGH_WATER_MARK = 2 ** 20;

interface Events {
  message: [value: unknown];
  messageerror: [error: TcpshmError];
  drain: [];
  close: [];
  newListener: [event: string | symbol];
  removeListener: [event: string | symbol];
}

/**
 * One end of a pair, in the shape of the MessagePort of worker_threads: messages travel through shared memory, in the
 * event loop of their threads, which nobody polls. A thread that is at it is reached within a microsecond or so, one that
 * sleeps is woken.
 *
 *     const { port1, port2 } = new RingPortPair();
 *     const worker = new Worker('./worker.js', { workerData: port2.detach() });
 *     port1.on('message', (value) => console.log(value));
 *     port1.postMessage({ hello: 'worker' });
 *
 *     const port = RingPort.open(workerData); // in the worker
 *     port.on('message', (value) => port.postMessage(value));
 *
 * Like a MessagePort, it delivers once something listens to 'message' (or after `start`), and keeps the process alive
 * while something does, unless `unref` says otherwise; messages of a port that is closed still arrive; 'close' comes when
 * either port is closed or its thread ends. Unlike one, it delivers to nobody while nobody listens: messages wait.
 *
 * Belongs to the thread that has it open.
 */
export class RingPort extends EventEmitter<Events> {
  readonly #memory: SharedArrayBuffer;
  readonly #role: Role;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #highWaterMark: number;
  readonly #listeners = new Listeners(this);
  #started = false;
  #refed = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #full = false;

  private constructor(handle: RingPortHandle) {
    super();
    const scratch = new Scratch();
    this.#memory = handle.memory;
    this.#role = handle.role;
    this.#highWaterMark = handle.highWaterMark;
    this.#connection = openEnd(handle.memory, handle.role);
    this.#outbox = new Outbox(this.#connection, structured, scratch, handle.waiting);
    this.#inbox = new Inbox(this.#connection, structured, scratch, handle.parts);
    this.on('newListener', (event) => {
      if (event !== 'message' || this.listenerCount('message') > 0) return;
      this.ref();
      // It listens by then.
      process.nextTick(() => this.start());
    });
    this.on('removeListener', (event) => {
      if (event === 'message' && this.listenerCount('message') === 0) this.unref();
    });
    driveEnd(this.#end);
  }

  /**
   * Opens a port that was given up by `detach`, in the thread that got the handle. One thread can: throws
   * ERR_ALREADY_CONNECTED when it is open, ERR_OPTION when this is no handle.
   */
  static open(handle: RingPortHandle): RingPort {
    if (handle?.kind !== 'tcpshm.RingPortHandle' || !(handle.memory instanceof SharedArrayBuffer)) {
      throw new TcpshmError('ERR_OPTION', `expected what RingPort.detach() gave, got ${typeof handle}`);
    }
    return new RingPort(handle);
  }

  /**
   * Sends a value to the other port, as it is now. Never blocks, and never fails for want of room: what the ring has no
   * room for waits in memory, in order, and goes out as the other side reads. Gives false when so much waits that it would
   * be better to go on at 'drain'.
   *
   * Array buffers of the `transferList` are copied and then detached here, as their owner expects; nothing else can be in
   * it. Throws ERR_CODEC for a value that cannot be carried: nothing was sent or detached then. On a port that is closed
   * it does nothing.
   */
  postMessage(value: unknown, transferList: readonly unknown[] = []): boolean {
    if (this.#state !== 'open') return true;
    checkTransferable(transferList);
    this.#outbox.post(value, 0);
    detachBuffers(transferList);
    if (this.#outbox.waitingBytes < this.#highWaterMark) return true;
    this.#full = true;
    return false;
  }

  /** Bytes that wait in memory, as the ring is full. */
  get writableLength(): number {
    return this.#outbox.waitingBytes;
  }

  /** From so many waiting bytes on `postMessage` gives false. */
  get writableHighWaterMark(): number {
    return this.#highWaterMark;
  }

  /** Delivers from here on. Listening to 'message' does it too. */
  start(): void {
    this.#started = true;
    stirEnd(this.#end);
  }

  /** Keeps the process alive, as it does while something listens to 'message'. */
  ref(): void {
    this.#refed = true;
    refChanged();
  }

  unref(): void {
    this.#refed = false;
    refChanged();
  }

  hasRef(): boolean {
    return this.#refed && this.#state !== 'closed';
  }

  /**
   * Ends the pair: the other port gets what was posted before, also what still waits, then 'close', as this one does.
   * Nothing is delivered here any more. Twice is harmless.
   */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    // Now, if nothing waits: the thread may be at its end.
    if (this.#outbox.waitingBytes === 0) this.#shut();
    else refChanged();
  }

  /**
   * Gives the port up, to be opened in another thread: the handle is what to post there. What has not been delivered here
   * is delivered there. The pair does not notice, but if the handle is opened nowhere, the other port is not told.
   * Throws ERR_CLOSED.
   */
  detach(): RingPortHandle {
    if (this.#state !== 'open') throw new TcpshmError('ERR_CLOSED', 'this port is closed');
    const waiting = this.#outbox.take();
    const { parts } = this.#inbox;
    this.#state = 'closed';
    undriveEnd(this.#end);
    this.#connection.side.handOver(0);
    return {
      kind: 'tcpshm.RingPortHandle',
      memory: this.#memory,
      role: this.#role,
      highWaterMark: this.#highWaterMark,
      waiting,
      parts,
    };
  }

  /** What gets messages as events with `data`, in the manner of browsers: the only one, null for none. */
  get onmessage(): Listener | null {
    return this.#listeners.handler('message');
  }
  set onmessage(listener: Listener | null) {
    this.#listeners.handle('message', listener);
  }
  get onmessageerror(): Listener | null {
    return this.#listeners.handler('messageerror');
  }
  set onmessageerror(listener: Listener | null) {
    this.#listeners.handle('messageerror', listener);
  }
  get onclose(): Listener | null {
    return this.#listeners.handler('close');
  }
  set onclose(listener: Listener | null) {
    this.#listeners.handle('close', listener);
  }

  /** As of an EventTarget: the listener gets an event with `data`. */
  addEventListener(
    type: 'message' | 'messageerror' | 'close',
    listener: Listener | { handleEvent: Listener },
    options: { readonly once?: boolean } = {},
  ): void {
    this.#listeners.add(type, listener, options.once === true);
  }

  removeEventListener(
    type: 'message' | 'messageerror' | 'close',
    listener: Listener | { handleEvent: Listener },
  ): void {
    this.#listeners.remove(type, listener);
  }

  /** What the driver of this thread sees. */
  readonly #end = this.#makeEnd();

  #makeEnd() {
    const port = this;
    return {
      get connection() {
        return port.#connection;
      },
      get refed() {
        return port.#state === 'closing' || port.#refed;
      },
      get delivers() {
        return port.#delivers;
      },
      poll: () => port.#poll(),
    };
  }

  get #delivers(): boolean {
    return this.#state === 'open' && this.#started && this.listenerCount('message') > 0;
  }

  /** Sends what waits, and delivers one message: its listeners may await it before the next one comes. */
  #poll(): boolean {
    if (this.#state === 'closed') return false;
    let moved = this.#outbox.flush();
    if (this.#full && this.#outbox.waitingBytes === 0) {
      this.#full = false;
      this.emit('drain');
    }
    if (this.#delivers) {
      try {
        if (this.#inbox.next()) {
          this.#deliver();
          return true;
        }
      } catch (error) {
        if (!(error instanceof TcpshmError && error.code === 'ERR_PROTOCOL')) throw error;
        this.emit('messageerror', error);
        this.#shut();
        return true;
      }
    }
    if (this.#isOver()) {
      this.#shut();
      moved = true;
    }
    return moved;
  }

  #deliver(): void {
    const { value, error } = this.#inbox;
    this.#inbox.value = undefined;
    if (error === null) this.emit('message', value);
    else this.emit('messageerror', error);
  }

  /** Whether there is nothing to wait for any more. */
  #isOver(): boolean {
    if (this.#state === 'closing' && this.#outbox.waitingBytes === 0) return true;
    const { side } = this.#connection;
    const awaited = this.#state === 'open' && (!this.#started || this.#delivers);
    // The end comes after the messages, which wait for somebody who listens.
    if (awaited && side.ends.consumer.unseen) return false;
    if (side.pollLink(0)) return false;
    // What the other port has posted before its end is in the ring by now.
    return !(awaited && side.ends.consumer.unseen);
  }

  #shut(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    undriveEnd(this.#end);
    this.#connection.close();
    process.nextTick(() => this.emit('close'));
  }
}

/** Two ports that are connected, in the manner of MessageChannel: one of them is for another thread, by `detach`. */
export class RingPortPair {
  readonly port1: RingPort;
  readonly port2: RingPort;

  /** Throws ERR_CAPACITY, ERR_OPTION. */
  constructor(options: RingPortOptions = {}) {
    checkOptions(options);
    const highWaterMark = count(options.highWaterMark, 'highWaterMark', HIGH_WATER_MARK);
    const memory = createChannel(options);
    const handle = { kind: 'tcpshm.RingPortHandle', memory, highWaterMark, waiting: [], parts: [] } as const;
    this.port1 = RingPort.open({ ...handle, role: 'server' });
    this.port2 = RingPort.open({ ...handle, role: 'client' });
  }
}

/** Throws ERR_CODEC for what would have to be moved itself. */
export function checkTransferable(transferList: readonly unknown[]): void {
  for (const one of transferList) {
    if (one instanceof ArrayBuffer || isArrayBufferView(one)) continue;
    const name = (one as object | null)?.constructor?.name ?? typeof one;
    throw new TcpshmError('ERR_CODEC', `a ${name} cannot be transferred: array buffers alone can`);
  }
}

/** After they were copied: their owner counts on it that they are gone. */
export function detachBuffers(transferList: readonly unknown[]): void {
  if (transferList.length === 0) return;
  const buffers = new Set<ArrayBuffer>();
  for (const one of transferList) {
    const buffer = isArrayBufferView(one) ? one.buffer : one;
    if (buffer instanceof ArrayBuffer) buffers.add(buffer);
  }
  structuredClone(null, { transfer: [...buffers] });
}
