/**
 * Peer: `process.send`, what Node offers between a process and its children, with the serialization that takes bytes
 * as they are ('advanced'). Both sides sleep in their event loop while there is nothing to do.
 *
 *   this process  ── child.send ──►    child process
 *                 ◄── process.send ──
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { spawnOwned } from '../cleanup.js';
import type { Peer } from './link.js';

export const peer: Peer = {
  name: 'peer/child-ipc',
  limit: 'tcp-loopback',
  async connect(cpu, duty) {
    const path = fileURLToPath(new URL('./childIpcFar.js', import.meta.url));
    const child = spawnOwned(
      process.execPath,
      [path, String(cpu), duty],
      ['ignore', 'ignore', 'inherit', 'ipc'],
      { serialization: 'advanced' },
    );
    const ended = once(child, 'exit');
    const ready = await Promise.race([once(child, 'message'), ended.then(() => null)]);
    if (ready === null) throw new Error(`the child process ended with ${child.exitCode}`);
    return {
      keeps: false,
      send(message) {
        child.send(message);
      },
      listen(onMessage, onFailure) {
        child.on('message', (message) => onMessage(message as unknown as Uint8Array));
        child.on('error', onFailure);
        child.on('exit', (code) => onFailure(new Error(`the child process ended with ${code}`)));
      },
      async stop() {
        child.removeAllListeners('message');
        child.removeAllListeners('exit');
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      },
    };
  },
};
