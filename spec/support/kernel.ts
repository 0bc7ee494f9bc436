import { readFileSync } from 'node:fs';

/** What the kernel holds of one end of a TCP connection, in bytes. */
export interface KernelQueues {
  /** Sent, and not taken by the other end's kernel yet. */
  readonly send: number;
  /** Come, and not received yet. */
  readonly receive: number;
}

/** Both ends of the connections to a port of 127.0.0.1. */
export function kernelQueues(port: number): KernelQueues[] {
  const end = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // A row: slot, local address, remote address, state (01 is established), send queue:receive queue, all hexadecimal.
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local, remote, state]) => state === '01' && (local === end || remote === end))
    .map(([, , , , queues = '']) => {
      const [send = '', receive = ''] = queues.split(':');
      return { send: Number.parseInt(send, 16), receive: Number.parseInt(receive, 16) };
    });
}
