import { randomUUID } from 'node:crypto';
import { BroadcastChannel, type MessagePort, receiveMessageOnPort, threadId } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import type { Listener, Wire } from './wire.js';

/** What goes over the channels: the bytes of the stream, and memory to be shared along with them. */
interface Parcel {
  readonly bytes: Uint8Array;
  readonly thread: number;
  readonly memory?: SharedArrayBuffer;
}
interface Knock {
  readonly channel: string;
  readonly thread: number;
}

/**
 * A wire between two threads of this process, for logins: a BroadcastChannel that only the two know. It can be
 * polled without the event loop, and carries shared memory beside its bytes.
 */
export class ThreadWire implements Wire {
  readonly #channel: BroadcastChannel;
  #rest: Uint8Array | null = null;
  #remoteThread: number;
  #memory: SharedArrayBuffer | null = null;
  #toShare: SharedArrayBuffer | undefined;

  constructor(name: string, remoteThread: number) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.unref();
    this.#remoteThread = remoteThread;
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
    const bytes = a.slice(aStart, aStart + aLength);
    const parcel: Parcel = { bytes, thread: threadId };
    this.#channel.postMessage(this.#toShare === undefined ? parcel : { ...parcel, memory: this.#toShare });
    this.#toShare = undefined;
    return aLength;
  }

  receive(into: Uint8Array, start: number, length: number): number {
    if (this.#rest === null) {
      const received = receiveMessageOnPort(this.#channel as unknown as MessagePort) as { message: Parcel } | undefined;
      if (received === undefined) return 0;
      this.#rest = received.message.bytes;
      this.#remoteThread = received.message.thread;
      if (received.message.memory !== undefined) this.#memory = received.message.memory;
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
    this.#channel.close();
  }
}

/** Listens to clients in all threads of this process, under the server's name. */
export function listenThreads(serverName: string): Listener {
  const channel = new BroadcastChannel(channelName(serverName));
  channel.unref();
  let open = true;
  return {
    address: { transport: 'inproc' },
    accept() {
      const received = receiveMessageOnPort(channel as unknown as MessagePort) as { message: Knock } | undefined;
      return received === undefined ? null : new ThreadWire(received.message.channel, received.message.thread);
    },
    async close() {
      if (!open) return;
      open = false;
      channel.close();
    },
  };
}

/** Connects to the server of that name in whatever thread of this process. Nobody answers when there is none. */
export function connectThreads(serverName: string): ThreadWire {
  const channel = channelName(`${serverName}/${randomUUID()}`);
  const wire = new ThreadWire(channel, -1);
  const knock: Knock = { channel, thread: threadId };
  const server = new BroadcastChannel(channelName(serverName));
  server.postMessage(knock);
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
