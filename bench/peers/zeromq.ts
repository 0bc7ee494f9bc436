/**
 * Peers: ZeroMQ (package `zeromq`), two sockets of type PAIR, over loopback and over a Unix socket. They are served by a
 * thread of its own in each process.
 *
 *   this process  ── send ──►  child process
 *                 ◄── send ──
 */
import { join } from 'node:path';
import type { Pair } from 'zeromq';
import { type Child, startChild } from '../child.js';
import { temporaryFolder } from '../cleanup.js';
import type { Duty, Link, Peer } from './link.js';

export const tcp: Peer = {
  name: 'peer/zeromq-tcp',
  limit: 'tcp-loopback',
  connect: (cpu, duty) => connectZeromq(cpu, duty, 'tcp'),
};

export const ipc: Peer = {
  name: 'peer/zeromq-ipc',
  limit: 'tcp-loopback',
  connect: (cpu, duty) => connectZeromq(cpu, duty, 'ipc'),
};

async function connectZeromq(cpu: number, duty: Duty, over: 'tcp' | 'ipc'): Promise<Link> {
  const { Pair } = await import('zeromq');
  const folder = temporaryFolder();
  const socket = new Pair({ linger: 0 });
  let far: Child | null = null;
  let closed = false;
  const stop = async (): Promise<void> => {
    closed = true;
    socket.close();
    await far?.stop();
    folder.remove();
  };
  try {
    await socket.bind(over === 'tcp' ? 'tcp://127.0.0.1:*' : `ipc://${join(folder.path, 'socket')}`);
    far = await startChild('./peers/zeromqFar.js', [String(cpu), duty, socket.lastEndpoint as string]);
    const started = far;
    // It says when it is connected.
    await socket.receive();
    return {
      keeps: true,
      send: (message) => socket.send(message),
      listen(onMessage, onFailure) {
        started.onLost(onFailure);
        receiveAll(socket, onMessage).catch((error: Error) => {
          if (!closed) onFailure(error);
        });
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function receiveAll(socket: Pair, onMessage: (message: Uint8Array) => void): Promise<void> {
  for await (const [message] of socket) onMessage(message as Uint8Array);
}
