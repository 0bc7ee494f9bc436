import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cannotConnect, cannotListen, isSocket, type SocketAddress } from './address.js';
import { BACKLOG, type SocketOptions } from './nativeWire.js';
import type { Listener, Patience, Wire } from './wire.js';

/** What may wait in either direction before the stream is paused or refuses more. */
const QUEUE_BYTES = 1024 * 1024;

/** How long a stream that was closed may take to hand over what it was given last. */
const LINGER_MS = 1000;

/**
 * A socket of Node.js as a wire: for platforms without the native module, and for TLS. Its bytes move only when the
 * event loop turns. It does not keep the process: who polls it does, as with native sockets.
 */
export class StreamWire implements Wire {
  readonly #stream: Socket;
  readonly #address: string;
  readonly #chunks: Buffer[] = [];
  onStir: (() => void) | null = null;
  #queued = 0;
  /** Bytes of the first chunk that were received already. */
  #taken = 0;
  #ended = false;
  #error: Error | null = null;
  /** Whether the event loop had a chance to read, since somebody has asked. */
  #drained: 'unknown' | 'waiting' | 'yes' = 'unknown';

  constructor(stream: Socket, address: string) {
    this.#stream = stream;
    this.#address = address;
    stream.on('data', (chunk: Buffer) => {
      this.#drained = 'unknown';
      this.#chunks.push(chunk);
      this.#queued += chunk.length;
      if (this.#queued >= QUEUE_BYTES) stream.pause();
      this.onStir?.();
    });
    stream.on('drain', () => this.onStir?.());
    stream.on('end', () => {
      this.#ended = true;
      this.onStir?.();
    });
    stream.on('error', (error: Error) => {
      this.#error = error;
      this.onStir?.();
    });
    stream.on('close', () => {
      this.#ended = true;
      this.onStir?.();
    });
  }

  send(
    a: Uint8Array,
    aStart: number,
    aLength: number,
    b?: Uint8Array,
    bStart = 0,
    bLength = 0,
    c?: Uint8Array,
    cStart = 0,
    cLength = 0,
  ): number {
    this.#throwIfBroken();
    if (this.#stream.writableLength >= QUEUE_BYTES || !this.#stream.writable) return 0;
    // A copy, as the stream may hold on to it for longer than the ring does.
    const total = aLength + bLength + cLength;
    const bytes = Buffer.allocUnsafe(total);
    bytes.set(a.subarray(aStart, aStart + aLength));
    if (b !== undefined) bytes.set(b.subarray(bStart, bStart + bLength), aLength);
    if (c !== undefined) bytes.set(c.subarray(cStart, cStart + cLength), aLength + bLength);
    this.#stream.write(bytes);
    return total;
  }

  receive(into: Uint8Array, start: number, length: number): number {
    let count = 0;
    while (count < length) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(this.#taken, this.#taken + length - count);
      into.set(part, start + count);
      count += part.length;
      this.#taken += part.length;
      if (this.#taken === chunk.length) {
        this.#chunks.shift();
        this.#taken = 0;
      }
    }
    if (count > 0) {
      this.#queued -= count;
      if (this.#queued < QUEUE_BYTES && this.#stream.isPaused()) this.#stream.resume();
      return count;
    }
    this.#throwIfBroken();
    return this.#ended ? -1 : 0;
  }

  drained(): boolean {
    if (this.#drained === 'unknown') {
      this.#drained = 'waiting';
      // Of two turns one has been through the phase in which sockets are read, wherever the loop is now.
      setImmediate(() => setImmediate(() => this.#hadItsChance()));
    }
    return this.#drained === 'yes';
  }

  remoteAddress(): string {
    return this.#address;
  }

  close(): void {
    const stream = this.#stream;
    stream.destroySoon();
    if (stream.destroyed) return;
    // A peer that reads nothing must not keep it, nor this process.
    stream.unref();
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }

  #hadItsChance(): void {
    if (this.#drained === 'waiting') this.#drained = 'yes';
  }

  #throwIfBroken(): void {
    if (this.#error !== null) throw this.#error;
  }
}

/** Listens with node:net. Throws ERR_LISTEN. */
export async function listenNet(address: SocketAddress, options: SocketOptions): Promise<Listener> {
  const waiting: Wire[] = [];
  const server = createServer({ noDelay: options.noDelay }, (socket) => {
    if (waiting.length >= BACKLOG) {
      socket.destroy();
      return;
    }
    socket.unref();
    waiting.push(wireOf(socket, address));
    listener.onStir?.();
  });
  try {
    try {
      await bind(server, address);
    } catch (error) {
      if (!('path' in address) || !(await isAbandoned(address.path, error))) throw error;
      unlinkSync(address.path);
      await bind(server, address);
    }
  } catch (cause) {
    throw cannotListen(address, cause);
  }
  const failures: Error[] = [];
  server.on('error', (error) => failures.push(error));
  const listener: Listener = {
    address:
      'path' in address ? address : { host: address.host, port: (server.address() as AddressInfo).port },
    onStir: null,
    accept() {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      return waiting.shift() ?? null;
    },
    keep(alive) {
      if (alive) server.ref();
      else server.unref();
    },
    async close() {
      for (const wire of waiting.splice(0)) wire.close();
      // Its callback would wait for the sockets, too, which have owners of their own.
      server.close();
      await nextTurn();
    },
  };
  return listener;
}

/** Connects with node:net. Throws ERR_CONNECT. */
export async function connectNet(
  address: SocketAddress,
  options: SocketOptions,
  patience: Patience,
): Promise<Wire> {
  const socket = connect(
    'path' in address
      ? { path: address.path }
      : { host: address.host, port: address.port, noDelay: options.noDelay },
  );
  const wire = wireOf(socket, address);
  try {
    const scratch = new Uint8Array(0);
    while (socket.connecting) {
      wire.send(scratch, 0, 0);
      await patience.pause();
    }
    wire.send(scratch, 0, 0);
    socket.unref();
    return wire;
  } catch (cause) {
    socket.destroy();
    throw cannotConnect(address, cause);
  }
}

function wireOf(socket: Socket, address: SocketAddress): StreamWire {
  return new StreamWire(
    socket,
    'path' in address
      ? address.path
      : `${socket.remoteAddress ?? address.host}:${socket.remotePort ?? address.port}`,
  );
}

async function bind(server: Server, address: SocketAddress): Promise<void> {
  server.listen('path' in address ? { path: address.path } : { host: address.host, port: address.port });
  await once(server, 'listening');
}

/** Whether a path is that of the Unix socket of a process that died: nobody accepts there. */
async function isAbandoned(path: string, error: unknown): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !isSocket(path)) return false;
  const probe = connect({ path });
  try {
    await once(probe, 'connect');
    return false;
  } catch (refusal) {
    return (refusal as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    probe.destroy();
  }
}
