/**
 * Peer: `node:net`, what Node offers between processes and hosts, over loopback with TCP_NODELAY. Both sides sleep
 * in their event loop while there is nothing to do.
 *
 *   this process  ── TCP ──►  child process
 *                 ◄── TCP ──
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Child, startChild } from '../child.js';
import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes } from '../mix.js';
import type { Subject } from '../subject.js';
import { AwaitedRoundTrip } from './awaited.js';

export const subject: Subject = {
  name: 'peer/net-tcp',
  limit: 'tcp-loopback',
  busyThreads: 0,
  batch: 100,
  async start([, far]) {
    const echo = await startChild('./peers/netTcpEcho.js', [String(far)]);
    try {
      const socket = connect({ host: '127.0.0.1', port: echo.port, noDelay: true });
      await once(socket, 'connect');
      return new NetTcpRoundTrip(socket, echo);
    } catch (error) {
      await echo.stop();
      throw error;
    }
  },
};

class NetTcpRoundTrip extends AwaitedRoundTrip {
  readonly #socket: Socket;
  readonly #echo: Child;
  readonly #received = new Uint8Array(Math.max(...MESSAGE_BYTES));
  readonly #receivedView = new DataView(this.#received.buffer);
  #receivedBytes = 0;

  constructor(socket: Socket, echo: Child) {
    super();
    this.#socket = socket;
    this.#echo = echo;
    socket.on('data', (bytes) => this.#onData(bytes));
    socket.on('error', (error) => this.failed(error));
    socket.on('close', () => this.failed(new Error('the echo closed its connection')));
    echo.onLost((error) => this.failed(error));
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    await this.#echo.stop();
  }

  protected override transmit(message: Uint8Array): void {
    this.#socket.write(message);
  }

  #onData(bytes: Uint8Array): void {
    const size = HEADER_BYTES + payloadBytes(this.sequence);
    if (this.#receivedBytes + bytes.length > size) {
      this.failed(new Error(`message ${this.sequence} came back with more than its ${size} bytes`));
      return;
    }
    this.#received.set(bytes, this.#receivedBytes);
    this.#receivedBytes += bytes.length;
    if (this.#receivedBytes < size) return;
    this.#receivedBytes = 0;
    this.answered(this.#receivedView, size);
  }
}
