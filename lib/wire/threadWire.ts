import { randomUUID } from 'node:crypto';
import { BroadcastChannel, type MessagePort, receiveMessageOnPort, threadId } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { exchangeAtThreadEnd } from '../memory/threadEnd.js';
import { leaveSide, Presence } from '../session/presence.js';
import type { Listener, Wire } from './wire.js';

/** What goes over the channels: the bytes of the stream, and memory to be shared along with them. */
interface Parcel {
  readonly bytes: Uint8Array;
  readonly thread: number;
  readonly memory?: SharedArrayBuffer;
  /** The sender's presence, with the first parcel of the side that accepted. */
  readonly presence?: Int32Array;
  /** The sender has hung up. */
  readonly end?: true;
}
interface Knock {
  readonly channel: string;
  readonly thread: number;
  readonly presence: Int32Array;
}

/**
 * A BroadcastChannel that can be polled. When the event loop turns it hands its messages to the listener, whether or
 * not somebody polls, so there is one that keeps them; when the event loop does not turn, they are fetched.
 */
class Mailbox<T> {
  readonly #channel: BroadcastChannel;
  readonly #received: T[] = [];

  constructor(name: string) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (event: unknown) => {
      this.#received.push((event as { data: T }).data);
    };
    this.#channel.unref();
  }

  /** The next message; undefined when there is none. */
  take(): T | undefined {
    if (this.#received.length > 0) return this.#received.shift();
    return (receiveMessageOnPort(this.#channel as unknown as MessagePort) as { message: T } | undefined)
      ?.message;
  }

  post(message: T): void {
    this.#channel.postMessage(message);
  }

  close(): void {
    this.#channel.close();
  }
}

/**
 * A wire between two threads of this process, for logins: a channel that only the two know. Carries shared memory
 * beside its bytes. Each end has a word that tells the other one when its thread has ended, by whatever way.
 */
export class ThreadWire implements Wire {
  readonly #mailbox: Mailbox<Parcel>;
  readonly #presence = new Int32Array(new SharedArrayBuffer(4));
  readonly #cancel: () => void;
  /** Unknown until the peer has accepted. */
  #peer: Int32Array | null;
  /** Whether the peer listens: what is posted before that is lost. */
  #ready: boolean;
  #rest: Uint8Array | null = null;
  #remoteThread: number;
  #memory: SharedArrayBuffer | null = null;
  #toShare: SharedArrayBuffer | undefined;
  #ended = false;
  #closed = false;

  /** With the peer's knock it is there already, and is told so; else this waits to be told. */
  constructor(name: string, knock: Knock | null) {
    this.#mailbox = new Mailbox(name);
    this.#remoteThread = knock?.thread ?? -1;
    this.#peer = knock?.presence ?? null;
    this.#ready = knock !== null;
    this.#presence[0] = Presence.open;
    this.#cancel = exchangeAtThreadEnd(this.#presence, Presence.open, Presence.ended);
    if (knock !== null) {
      this.#mailbox.post({ bytes: new Uint8Array(0), thread: threadId, presence: this.#presence });
    }
  }

  /** For the knock of the side that connects. */
  get presence(): Int32Array {
    return this.#presence;
  }

  /** The memory that came with what was received last. */
  get memory(): SharedArrayBuffer | null {
    return this.#memory;
  }

  /** Shares memory with the peer along with what is sent next. */
  share(memory: SharedArrayBuffer): void {
    this.#toShare = memory;
  }

  send(a: Uint8Array, aStart: number, aLength: number): number {
    if (!this.#ready) return 0;
    const bytes = a.slice(aStart, aStart + aLength);
    const parcel: Parcel = { bytes, thread: threadId };
    this.#mailbox.post(this.#toShare === undefined ? parcel : { ...parcel, memory: this.#toShare });
    this.#toShare = undefined;
    return aLength;
  }

  receive(into: Uint8Array, start: number, length: number): number {
    if (this.#ended) return -1;
    if (this.#rest === null) {
      // In this order: what the peer has posted before its end is taken before its end is told.
      const gone = this.#peer !== null && Atomics.load(this.#peer, 0) !== Presence.open;
      const parcel = this.#mailbox.take();
      if (parcel === undefined) {
        this.#ended = gone;
        return gone ? -1 : 0;
      }
      this.#ready = true;
      this.#peer ??= parcel.presence ?? null;
      this.#rest = parcel.bytes;
      this.#remoteThread = parcel.thread;
      if (parcel.memory !== undefined) this.#memory = parcel.memory;
      if (parcel.end === true) {
        this.#ended = true;
        return -1;
      }
    }
    const part = this.#rest.subarray(0, length);
    into.set(part, start);
    this.#rest = part.length === this.#rest.length ? null : this.#rest.subarray(length);
    return part.length;
  }

  remoteAddress(): string {
    return `thread ${this.#remoteThread}`;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#ready) this.#mailbox.post({ bytes: new Uint8Array(0), thread: threadId, end: true });
    this.#mailbox.close();
    leaveSide(this.#presence);
    this.#cancel();
  }
}

/** Listens to clients in all threads of this process, under the server's name. */
export function listenThreads(serverName: string): Listener {
  const knocks = new Mailbox<Knock>(channelName(serverName));
  let open = true;
  return {
    address: { transport: 'inproc' },
    accept() {
      const knock = knocks.take();
      return knock === undefined ? null : new ThreadWire(knock.channel, knock);
    },
    async close() {
      if (!open) return;
      open = false;
      knocks.close();
    },
  };
}

/** Connects to the server of that name in whatever thread of this process. Nobody answers when there is none. */
export function connectThreads(serverName: string): ThreadWire {
  const channel = channelName(`${serverName}/${randomUUID()}`);
  const wire = new ThreadWire(channel, null);
  const server = new BroadcastChannel(channelName(serverName));
  server.postMessage({ channel, thread: threadId, presence: wire.presence } satisfies Knock);
  server.close();
  return wire;
}

function channelName(name: string): string {
  return `tcpshm/${name}`;
}

/** For the side that must have got memory with what it received. */
export function sharedMemoryOf(wire: Wire): SharedArrayBuffer {
  const memory = wire instanceof ThreadWire ? wire.memory : null;
  if (memory !== null) return memory;
  throw new TcpshmError('ERR_PROTOCOL', 'expected shared memory with the login reply, got none');
}
