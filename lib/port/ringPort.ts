import { EventEmitter } from 'node:events';
import { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { type CodecName, checkOptions, count } from '../options.js';
import { dropShared } from '../store/shared.js';
import type { CarriedPort, Carrier, PortState, RingPortHandle } from './carrier.js';
import { type Listener, Listeners } from './listeners.js';
import { SessionCarrier } from './sessionCarrier.js';
import { structured } from './structured.js';
import { ThreadCarrier } from './threadCarrier.js';
import { checkTransferable, detachBuffers } from './transfer.js';

/** When a port says that more waits in memory than should. */
export interface PortOptions {
  /** From so many waiting bytes on `postMessage` gives false. Default 2^20. */
  readonly highWaterMark?: number;
}

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
 * Between processes and hosts it is `RingPort.over` a connection, in the same shape, see there.
 *
 * Belongs to the thread that has it open.
 */
export class RingPort extends EventEmitter<Events> {
  /** What is to be the `codec` of clients and servers whose connections have ports: others are refused at the login. */
  static readonly codec: CodecName = { name: structured.name, version: structured.version };
  readonly #carrier: Carrier;
  readonly #highWaterMark: number;
  readonly #listeners = new Listeners(this);
  #started = false;
  #refed = false;
  #state: PortState = 'open';
  #full = false;
  #isOver: () => void = () => {};
  readonly #over = new Promise<void>((resolve) => {
    this.#isOver = resolve;
  });

  private constructor(highWaterMark: number, carry: (port: CarriedPort) => Carrier) {
    super();
    this.#highWaterMark = highWaterMark;
    this.on('newListener', (event) => {
      if (event !== 'message' || this.listenerCount('message') > 0) return;
      this.ref();
      // It listens by the time that anything is delivered.
      this.start();
    });
    this.on('removeListener', (event) => {
      const last = event === 'message' && this.listenerCount('message') === 0;
      if (last && this.#state === 'open') this.unref();
    });
    this.#carrier = carry(this.#carried());
  }

  /**
   * Opens a port that was given up by `detach`, in the thread that got the handle. One thread can: throws
   * ERR_ALREADY_CONNECTED when it is open, ERR_OPTION when this is no handle.
   */
  static open(handle: RingPortHandle): RingPort {
    checkHandle(handle);
    return new RingPort(handle.highWaterMark, (port) => new ThreadCarrier(handle, port));
  }

  /**
   * Closes a port whose handle nobody is going to open, as the thread that had it is gone, say: the other port gets 'close',
   * after what was posted before. A port that was opened is left as it is, so whoever has posted a handle can do it at the
   * 'exit' of the worker in any case. Throws ERR_OPTION when this is no handle.
   */
  static discard(handle: RingPortHandle): void {
    checkHandle(handle);
    dropShared(handle.memory, handle.role);
  }

  /**
   * A port over a connection: the peer makes one over its own, and values go between processes or hosts as between
   * threads. Works while the connection is polled, by `run` or `poll` of its client or server, or as an end of a
   * RingChannel; its messages are for the port then, not for `onMessage`.
   *
   *     const port = RingPort.over(await client.connect({ path }));
   *     port.on('message', (value) => console.log(value));
   *     port.postMessage({ hello: 'server' });
   *     await client.run();
   *
   * It is as durable as the session. A disconnect ends nothing: what is posted meanwhile arrives after the next login,
   * also in another process, which makes a port of its own. 'close' comes once the connection is closed here. What was
   * posted before `close` goes out first, and then the connection is closed; closing that (or its client) does not wait:
   * what waited in memory is lost then, and `writableLength` tells how much it was.
   *
   * A value is popped when those who listen have returned: if this process dies in them, it comes again; if one throws, the
   * poll throws it, and it comes again too. A value larger than a message (a quarter of the queue) goes in parts: one whose
   * sender or receiver dies in the middle is lost, and the next receiver gets an ERR_CODEC as 'messageerror'. A peer that
   * sends what no port does is told as ERR_PROTOCOL by 'messageerror', and the connection is closed; its message stays.
   *
   * While nobody listens to 'message' (or after `unref`), the connection does not keep the process alive.
   *
   * One for each connection: throws ERR_BUSY when that has a channel, stream or port already, ERR_OPTION, ERR_CLOSED.
   */
  static over(connection: Connection, options: PortOptions = {}): RingPort {
    if (!(connection instanceof Connection)) {
      throw new TcpshmError('ERR_OPTION', `expected a connection, got ${typeof connection}`);
    }
    checkOptions(options);
    const highWaterMark = highWaterMarkOf(options);
    connection.side.throwIfRead();
    return new RingPort(highWaterMark, (port) => new SessionCarrier(connection, port));
  }

  /**
   * Sends a value to the other port, as it is now. Never blocks, and never fails for want of room: what the ring has no
   * room for waits in memory, in order, and goes out as the other side reads. Gives false when so much waits that it would
   * be better to go on at 'drain'.
   *
   * Array buffers of the `transferList` are copied and then detached here, as their owner expects; nothing else can be in
   * it. Throws ERR_CODEC for a value that cannot be carried: nothing was sent or detached then. On a port that is closed
   * it does nothing. Over a connection it also throws ERR_FENCED.
   */
  postMessage(value: unknown, transferList: readonly unknown[] = []): boolean {
    if (this.#state !== 'open') return true;
    checkTransferable(transferList);
    this.#carrier.post(value);
    detachBuffers(transferList);
    if (this.#carrier.waitingBytes < this.#highWaterMark) return true;
    this.#full = true;
    return false;
  }

  /** Bytes that wait in memory, as the ring is full. */
  get writableLength(): number {
    return this.#carrier.waitingBytes;
  }

  /** From so many waiting bytes on `postMessage` gives false. */
  get writableHighWaterMark(): number {
    return this.#highWaterMark;
  }

  /** Delivers from here on. Listening to 'message' does it too. */
  start(): void {
    this.#started = true;
    this.#carrier.stir();
  }

  /** Keeps the process alive, as it does while something listens to 'message'. */
  ref(): void {
    this.#refed = true;
    this.#carrier.refChanged();
  }

  /** Lets the process end though something listens. */
  unref(): void {
    this.#refed = false;
    this.#carrier.refChanged();
  }

  /** Whether listening to it keeps the process alive: false after `unref` and after its end. */
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
    if (this.#carrier.waitingBytes === 0) this.#shut();
    else this.ref();
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Closes it, and waits until what was posted before has gone out: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return this.#over;
  }

  /**
   * Gives the port up, to be opened in another thread: the handle is what to post there. What has not been delivered here
   * is delivered there. The pair does not notice. A handle is plain data, of which nobody can tell where it is or that it
   * is gone: if it is opened nowhere, the other port hears of that by `discard` alone.
   * Throws ERR_CLOSED, ERR_OPTION over a connection.
   */
  detach(): RingPortHandle {
    if (this.#state !== 'open') throw new TcpshmError('ERR_CLOSED', 'this port is closed');
    const given = this.#carrier.detach();
    this.#state = 'closed';
    this.#isOver();
    return { kind: 'tcpshm.RingPortHandle', highWaterMark: this.#highWaterMark, ...given };
  }

  /** What gets messages as events with `data`, in the manner of browsers: the only one, null for none. */
  get onmessage(): Listener | null {
    return this.#listeners.handler('message');
  }
  /** Takes the place of the one before, and starts the port, as of a MessagePort. */
  set onmessage(listener: Listener | null) {
    this.#listeners.handle('message', listener);
  }
  /** What gets what came and is no value, as an event whose `data` is the error (ERR_CODEC, ERR_PROTOCOL); null for none. */
  get onmessageerror(): Listener | null {
    return this.#listeners.handler('messageerror');
  }
  /** Takes the place of the one before. */
  set onmessageerror(listener: Listener | null) {
    this.#listeners.handle('messageerror', listener);
  }
  /** What is told of the end, once; null for none. */
  get onclose(): Listener | null {
    return this.#listeners.handler('close');
  }
  /** Takes the place of the one before. */
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

  /** Takes away what `addEventListener` was given; harmless when it is not there. */
  removeEventListener(
    type: 'message' | 'messageerror' | 'close',
    listener: Listener | { handleEvent: Listener },
  ): void {
    this.#listeners.remove(type, listener);
  }

  /** What the carrier sees. */
  #carried(): CarriedPort {
    const port = this;
    return {
      get state() {
        return port.#state;
      },
      get refed() {
        return port.#refed;
      },
      get delivers() {
        return port.#delivers;
      },
      get awaits() {
        return port.#state === 'open' && (!port.#started || port.#delivers);
      },
      deliver: (value, error) => {
        if (error === null) this.emit('message', value);
        else this.emit('messageerror', error);
      },
      drained: () => this.#drained(),
      shut: () => this.#shut(),
    };
  }

  get #delivers(): boolean {
    return this.#state === 'open' && this.#started && this.listenerCount('message') > 0;
  }

  #drained(): void {
    if (this.#state === 'closing') {
      this.#shut();
    } else if (this.#full) {
      this.#full = false;
      this.emit('drain');
    }
  }

  #shut(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#isOver();
    this.#carrier.end();
    // A driver that is 'busy' leaves no other turn.
    queueMicrotask(() => this.emit('close'));
  }
}

function checkHandle(handle: RingPortHandle): void {
  if (handle?.kind === 'tcpshm.RingPortHandle' && handle.memory instanceof SharedArrayBuffer) return;
  throw new TcpshmError('ERR_OPTION', `expected what RingPort.detach() gave, got ${typeof handle}`);
}

/** @internal Of the options of a port. Throws ERR_OPTION. */
export function highWaterMarkOf(options: PortOptions): number {
  return count(options.highWaterMark, 'highWaterMark', HIGH_WATER_MARK);
}

const HIGH_WATER_MARK = 2 ** 20;
