/**
 * Peers: `node:net`, what Node offers between processes and hosts, over loopback with TCP_NODELAY, and over a Unix
 * socket. Both sides sleep in their event loop while there is nothing to do.
 *
 *   this process  ── socket ──►  child process
 *                 ◄── socket ──
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startChild } from '../child.js';
import { temporaryFolder } from '../cleanup.js';
import { MESSAGE_BYTES } from '../mix.js';
import { ANSWER_BYTES } from '../tally.js';
import { roundTripsOf } from './awaited.js';
import { Frames } from './frames.js';
import type { Duty, Link, Peer } from './link.js';

export const tcp: Peer = {
  name: 'peer/net-tcp',
  limit: 'tcp-loopback',
  connect: (cpu, duty) => connectNet(cpu, duty, false),
};

export const unix: Peer = {
  name: 'peer/net-unix',
  limit: 'tcp-loopback',
  connect: (cpu, duty) => connectNet(cpu, duty, true),
};

export const subject = roundTripsOf(tcp);

async function connectNet(cpu: number, duty: Duty, overUnix: boolean): Promise<Link> {
  const folder = temporaryFolder();
  const path = join(folder.path, 'socket');
  try {
    const far = await startChild('./peers/netFar.js', [String(cpu), duty, ...(overUnix ? [path] : [])]);
    try {
      const socket = connect(overUnix ? { path } : { host: '127.0.0.1', port: far.port, noDelay: true });
      await once(socket, 'connect');
      return {
        keeps: true,
        send(message) {
          // One way, what is written in one turn of the loop goes in one call of the kernel.
          if (duty === 'sink' && socket.writableCorked === 0) {
            socket.cork();
            process.nextTick(() => socket.uncork());
          }
          socket.write(message);
        },
        listen(onMessage, onFailure) {
          const frames = new Frames(duty === 'echo' ? MESSAGE_BYTES : [ANSWER_BYTES], onMessage);
          socket.on('data', (bytes) => frames.take(bytes));
          socket.on('error', onFailure);
          socket.on('close', () => onFailure(new Error('the far side closed its connection')));
          far.onLost(onFailure);
        },
        async stop() {
          socket.removeAllListeners();
          socket.on('error', () => {});
          socket.destroy();
          await far.stop();
          folder.remove();
        },
      };
    } catch (error) {
      await far.stop();
      throw error;
    }
  } catch (error) {
    folder.remove();
    throw error;
  }
}
