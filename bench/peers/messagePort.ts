/**
 * Peer: `MessagePort`, what Node offers between worker threads. Bytes are cloned in both directions; both sides
 * sleep in their event loop while there is nothing to do.
 *
 *   main thread  ── postMessage ──►  worker thread
 *                ◄── postMessage ──
 */
import { roundTripsOf } from './awaited.js';
import type { Peer } from './link.js';
import { startWorker } from './worker.js';

export const peer: Peer = {
  name: 'peer/message-port',
  limit: 'core-to-core',
  async connect(cpu, duty) {
    const worker = await startWorker('./messagePortFar.js', { cpu, duty });
    return {
      keeps: false,
      send: (message) => worker.postMessage(message),
      listen(onMessage, onFailure) {
        worker.on('message', onMessage);
        worker.on('error', (error) => onFailure(error as Error));
        worker.on('exit', (code) => onFailure(new Error(`the far worker ended with ${code}`)));
      },
      async stop() {
        worker.removeAllListeners();
        await worker.terminate();
      },
    };
  },
};

export const subject = roundTripsOf(peer);
