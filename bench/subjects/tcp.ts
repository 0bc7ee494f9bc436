/**
 * Ours between hosts: a session over TCP, here over loopback, its native sockets busy polled at both ends. Each side
 * keeps its copy of both rings in a session file.
 *
 *   this process, near cpu                                   child process, far cpu
 *   alloc, push ──► [ ring ] ── frames over TCP ──► [ ring ] ──► onMessage: copy, pop
 *   front, pop  ◄── [ ring ] ◄── frames over TCP ── [ ring ] ◄── push
 */
import { performance } from 'node:perf_hooks';
import type { RoundTrip, Subject } from '../subject.js';
import { noAnswer, send, take } from './exchange.js';
import { type Peers, polledEcho, startPeers } from './peers.js';

/** Some seconds of asking the socket. */
const MAX_POLLS = 2 ** 24;

export const subject: Subject = {
  name: 'rtt/tcp',
  limit: 'tcp-loopback',
  busyThreads: 2,
  batch: 100,
  async start([, far]) {
    return new TcpRoundTrip(await startPeers('tcp', polledEcho('tcp', far)));
  },
};

export class TcpRoundTrip implements RoundTrip {
  readonly asynchronous = false;
  readonly #peers: Peers;
  #sequence = 0;
  /** Read between batches: a poll needs a time, not the time. */
  #now = performance.now();

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  roundTrips(count: number): void {
    const { client, connection } = this.#peers;
    const now = this.#now;
    const end = this.#sequence + count;
    for (let sequence = this.#sequence; sequence < end; sequence++) {
      send(connection, sequence);
      let message = connection.front();
      for (let polls = 0; message === null; polls++) {
        if (polls > MAX_POLLS) throw noAnswer(sequence);
        client.pollTcp(now);
        message = connection.front();
      }
      take(connection, message, sequence);
    }
    this.#sequence = end;
  }

  between(): void {
    this.#now = performance.now();
  }

  stop(): Promise<void> {
    return this.#peers.stop();
  }
}
