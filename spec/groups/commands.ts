/** What clients tell the handlers of the specs to do. */
import type { Connection } from '../../lib/index.js';

/** Messages in both directions, as the server sees them. */
export interface WantedTraffic {
  readonly send: number;
  readonly receive: number;
}

/** What a thread says of itself and a connection. */
export interface Answer {
  readonly group: number;
  readonly text: string;
  readonly pushed: number;
  readonly popped: number;
  /** Of the protocol. */
  readonly version: number | null;
  readonly cpus: readonly number[];
  /** What has happened to connections last. */
  readonly events: readonly string[];
}

/** Ways for a thread to end, by a command. */
export const DEATHS = ['exit', 'uncaught', 'rejection', 'out of memory'] as const;

export function trafficLogin(wanted: WantedTraffic): Uint8Array {
  return Buffer.from(JSON.stringify(wanted));
}

export function wantedTraffic(login: Uint8Array): WantedTraffic | null {
  return login.length === 0 ? null : (JSON.parse(Buffer.from(login).toString()) as WantedTraffic);
}

const COMMANDS: Readonly<Record<string, (connection: Connection) => void>> = {
  throw() {
    throw new Error('on purpose');
  },
  close: (connection) => connection.close(),
  remove: (connection) => connection.close({ remove: true }),
  claim(connection) {
    connection.send('claiming');
    connection.alloc(8)?.setText('claimed!');
  },
  push: (connection) => connection.push(),
  block(connection) {
    connection.send('blocking');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  },
  hang(connection) {
    connection.send('hanging');
    for (;;);
  },
  exit() {
    process.exit(3);
  },
  uncaught() {
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
  },
  rejection() {
    void Promise.reject(new Error('nobody catches this'));
  },
  'out of memory'() {
    const hoard: unknown[] = [];
    for (;;) hoard.push(new Array(100_000).fill(hoard.length + 0.5));
  },
};

export function isCommand(text: string): boolean {
  return text in COMMANDS;
}

export function obey(connection: Connection, text: string): void {
  COMMANDS[text]?.(connection);
}
