/**
 * Ours between processes of one host: a session over shared memory, busy polled at both ends.
 *
 *   this process, near cpu              child process, far cpu
 *   alloc, push ──► [ ring in a mapped file of /dev/shm ] ──► onMessage: copy, pop
 *   front, pop  ◄── [ ring in a mapped file of /dev/shm ] ◄── push
 */
import { performance } from 'node:perf_hooks';
import type { RoundTrip, Subject } from '../subject.js';
import { type Peers, polledEcho, startPeers } from './peers.js';
import { SharedRoundTrip } from './sharedRoundTrip.js';

export const subject: Subject = {
  name: 'rtt/shm',
  limit: 'core-to-core',
  busyThreads: 2,
  batch: 1000,
  async start([, far]) {
    return new ShmRoundTrip(await startPeers('shm', polledEcho('shm', far)));
  },
};

export class ShmRoundTrip extends SharedRoundTrip implements RoundTrip {
  readonly #peers: Peers;

  constructor(peers: Peers) {
    super(peers.connection);
    this.#peers = peers;
  }

  /** Heartbeats of the control connection. */
  between(): void {
    this.#peers.client.pollControl(performance.now());
  }

  stop(): Promise<void> {
    return this.#peers.stop();
  }
}
