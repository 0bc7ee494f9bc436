/**
 * Peer: `node:net`, what Node offers between processes and hosts, over loopback with TCP_NODELAY. Both sides sleep
 * in their event loop while there is nothing to do.
 *
 *   this process  ── TCP ──►  child process
 *                 ◄── TCP ──
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type EchoProcess, startEchoProcess } from '../echoProcess.js';
import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../mix.js';
import type { RoundTrip, Subject } from '../subject.js';

export const subject: Subject = {
  name: 'peer/net-tcp',
  limit: 'tcp-loopback',
  busyThreads: 0,
  batch: 100,
  async start([, far]) {
    const echo = await startEchoProcess('./peers/netTcpEcho.js', [String(far)]);
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

class NetTcpRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  readonly #socket: Socket;
  readonly #echo: EchoProcess;
  readonly #sent = MESSAGE_BYTES.map((bytes) => new Uint8Array(bytes));
  readonly #views = this.#sent.map((message) => new DataView(message.buffer));
  readonly #received = new Uint8Array(Math.max(...MESSAGE_BYTES));
  readonly #receivedView = new DataView(this.#received.buffer);
  #receivedBytes = 0;
  #sequence = 0;
  #last = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(socket: Socket, echo: EchoProcess) {
    this.#socket = socket;
    this.#echo = echo;
    socket.on('data', (bytes) => this.#onData(bytes));
    socket.on('error', (error) => this.#reject(error));
    socket.on('close', () => this.#reject(new Error('the echo closed its connection')));
    echo.onLost((error) => this.#reject(error));
  }

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#last = this.#sequence + count - 1;
      this.#send();
    });
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    await this.#echo.stop();
  }

  #send(): void {
    const index = this.#sequence & 3;
    stamp(this.#views[index] as DataView, HEADER_BYTES, payloadBytes(this.#sequence), this.#sequence);
    this.#socket.write(this.#sent[index] as Uint8Array);
  }

  #onData(bytes: Uint8Array): void {
    const size = HEADER_BYTES + payloadBytes(this.#sequence);
    if (this.#receivedBytes + bytes.length > size) {
      this.#reject(new Error(`message ${this.#sequence} came back with more than its ${size} bytes`));
      return;
    }
    this.#received.set(bytes, this.#receivedBytes);
    this.#receivedBytes += bytes.length;
    if (this.#receivedBytes < size) return;
    this.#receivedBytes = 0;
    try {
      verify(this.#receivedView, HEADER_BYTES, size - HEADER_BYTES, this.#sequence);
    } catch (error) {
      this.#reject(error as Error);
      return;
    }
    const done = this.#sequence === this.#last;
    this.#sequence++;
    if (done) this.#resolve();
    else this.#send();
  }
}
