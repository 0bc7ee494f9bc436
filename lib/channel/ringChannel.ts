import { randomBytes } from 'node:crypto';
import { Connection, type ConnectionHandlers } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { type CodecName, checkOptions, codecName } from '../options.js';
import { failedRun, type Run, type RunOptions } from '../poll/drive.js';
import { DEFAULT_CAPACITY } from '../ring/layout.js';
import { checkCapacity } from '../ring/memory.js';
import { speakAlike } from '../session/agreement.js';
import { checkName, type Role } from '../session/names.js';
import { createShared, openShared, peerPresence } from '../store/shared.js';
import { PresenceLink } from '../wire/presenceLink.js';
import { driveEnds } from './driveEnds.js';

/** How ends are driven, and what their messages and their other ends are told to. */
export interface RingRunOptions extends RunOptions, ConnectionHandlers {}

/** What both ends of a RingChannel are made with: the end that is opened elsewhere has the same queues and names. */
export interface RingChannelOptions {
  /** Of each of the two queues: a power of two from 4096 to 2^30. Default 2^20. */
  readonly capacityBytes?: number;
  /** What this end and the other one are called. Default 'main' and 'worker'. */
  readonly localName?: string;
  readonly remoteName?: string;
  /** How this end writes its messages: whoever opens the other end and names another codec is refused. */
  readonly codec?: CodecName;
}

/** The other end of a channel: plain data that `postMessage` and `workerData` take as it is, without a transfer. */
export interface RingHandle {
  readonly kind: 'tcpshm.RingHandle';
  readonly memory: SharedArrayBuffer;
  /** 'name@version', if it was said. */
  readonly codec?: string;
}

/**
 * Two queues between two threads, in the manner of MessageChannel: this end is used here, the other is a handle to
 * be posted to any worker and opened there.
 *
 *     const channel = new RingChannel();
 *     new Worker('./worker.js', { workerData: channel.remote });
 *     channel.local.send('hello');
 *
 *     const end = RingChannel.open(workerData); // in the worker
 *     end.front()?.text();
 *
 * What was sent stays in the channel when a thread ends: another one that opens the handle goes on where it stopped.
 */
export class RingChannel {
  /** This thread's end. */
  readonly local: Connection;
  /** The other thread's end. */
  readonly remote: RingHandle;

  /** Throws ERR_CAPACITY, ERR_NAME, ERR_OPTION. */
  constructor(options: RingChannelOptions = {}) {
    const codec = codecName(options.codec);
    const memory = createChannel(options);
    this.remote = { kind: 'tcpshm.RingHandle', memory, ...(codec !== '' && { codec }) };
    this.local = openEnd(memory, 'server');
  }

  /**
   * Drives ends of RingChannels that this thread has open, one or several together, as `run` of a client does: hands what
   * arrives to `onMessage`, or to who reads (`channel`, `duplex`, `RingPort.over`), tells of the other end by
   * `onDisconnect`, and does what `idle` says when nothing moves. An end that sleeps is woken by the other one.
   *
   *     await RingChannel.run(channel.local, { onMessage: (end, message) => { … end.pop(); }, idle: 'park' });
   *
   * Resolves when the signal aborts, it is stopped, or all of them are closed. Rejects with what a handler throws,
   * ERR_PROTOCOL when another end wrote what cannot be, ERR_BUSY when one is driven already, ERR_OPTION for what is no end
   * of a RingChannel, ERR_CLOSED.
   */
  static run(ends: Connection | readonly Connection[], options: RingRunOptions = {}): Run {
    const list = [...new Set(Array.isArray(ends) ? (ends as readonly Connection[]) : [ends as Connection])];
    const run = (): Run => {
      checkOptions(options, ['onMessage', 'onDisconnect']);
      for (const end of list) checkDrivable(end);
      for (const end of list) driven.set(end, true);
      return driveEnds(list, options, options, () => {
        for (const end of list) driven.set(end, false);
      });
    };
    try {
      return run();
    } catch (error) {
      return failedRun(error);
    }
  }

  /** Closes this end, and tells the other one. What was sent stays for it. Twice is harmless. */
  close(): void {
    this.local.close();
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Opens the other end, in the thread that got the handle. One thread at a time: throws ERR_ALREADY_CONNECTED while
   * another has it open, ERR_OPTION when this is no handle, ERR_CODEC when the other end is of another codec.
   */
  static open(handle: RingHandle, options: { readonly codec?: CodecName } = {}): Connection {
    if (handle?.kind !== 'tcpshm.RingHandle' || !(handle.memory instanceof SharedArrayBuffer)) {
      throw new TcpshmError('ERR_OPTION', `expected the remote end of a RingChannel, got ${typeof handle}`);
    }
    const codec = codecName(options.codec);
    const others = handle.codec ?? '';
    if (!speakAlike(codec, others)) {
      throw new TcpshmError(
        'ERR_CODEC',
        `both ends must write their messages alike: this one with '${codec}', the other with '${others}'`,
      );
    }
    return openEnd(handle.memory, 'client');
  }
}

/** The ends that are open in this thread, and whether they are driven. */
const driven = new WeakMap<Connection, boolean>();

/** Throws ERR_OPTION, ERR_BUSY, ERR_CLOSED. */
function checkDrivable(end: Connection): void {
  const driving = driven.get(end);
  if (driving === undefined) throw new TcpshmError('ERR_OPTION', 'expected an end of a RingChannel');
  if (end.state === 'closed') throw end.side.closedError();
  if (driving) throw new TcpshmError('ERR_BUSY', `the end that is '${end.localName}' is driven already`);
}

/** @internal The memory of both ends, of which neither is open. Throws ERR_CAPACITY, ERR_NAME. */
export function createChannel(options: RingChannelOptions): SharedArrayBuffer {
  const capacity = checkCapacity(options.capacityBytes ?? DEFAULT_CAPACITY);
  return createShared({
    server: checkName(options.localName ?? 'main', 'localName'),
    client: checkName(options.remoteName ?? 'worker', 'remoteName'),
    sessionId: randomBytes(8).toString('hex'),
    bootId: '',
    journal: false,
    clientToServer: capacity,
    serverToClient: capacity,
  });
}

/** @internal Opens one end of it, in this thread. Throws ERR_ALREADY_CONNECTED, ERR_SEGMENT. */
export function openEnd(memory: SharedArrayBuffer, role: Role): Connection {
  const open = openShared(memory, role, {});
  // Who sleeps on it is to know.
  const connection = new Connection(open, 'inproc', ({ side }) => side.sleep.stir());
  driven.set(connection, false);
  connection.side.peer.attach(new PresenceLink(peerPresence(open.segment, role)), NO_DATA);
  return connection;
}

const NO_DATA = new Uint8Array(0);
