import { join } from 'node:path';
import { type Connection, makeConnection } from '../../lib/connection/connection.js';
import { type Role, segmentFileName } from '../../lib/session/names.js';
import { createSegmentFile, openSegmentFile } from '../../lib/store/files.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { silence } from '../support/silence.js';
import { Scene } from './support.js';

/** So long its owners may be silent. */
export const TIMEOUT_MS = 60_000;

/** A session in shared memory with both sides open in this process, until others take their places. */
export class MovingSession {
  readonly scene = new Scene();
  /** Where its file is. */
  readonly path = join(this.scene.folders.sharedDirectory, segmentFileName('alice', 'bob'));
  /** The server. */
  readonly bob: Connection;
  readonly #opened: Connection[] = [];
  #alice: Connection;

  constructor(capacityBytes: number) {
    const identity = {
      client: 'alice',
      server: 'bob',
      sessionId: '0123456789abcdef',
      bootId: '',
      clientToServer: capacityBytes,
      serverToClient: capacityBytes,
      journal: false,
    };
    this.bob = this.connection(createSegmentFile(this.path, 'server', identity, { timeoutMs: TIMEOUT_MS }));
    this.#alice = this.open('client');
  }

  /** The client, as of now. */
  get alice(): Connection {
    return this.#alice;
  }

  open(role: Role): Connection {
    return this.connection(openSegmentFile(this.path, role, {}, { timeoutMs: TIMEOUT_MS }));
  }

  /** Another process takes alice's place, and moves the session for it. */
  takeOver(): Connection {
    silence(this.#alice.side.ends.open, TIMEOUT_MS);
    this.#alice = this.open('client');
    return this.#alice;
  }

  connection(open: OpenSegment | null): Connection {
    const connection = makeConnection(open as OpenSegment, 'shm', () => {});
    this.#opened.push(connection);
    return connection;
  }

  async end(): Promise<void> {
    for (const connection of this.#opened) connection.close();
    await this.scene.end();
  }
}

/** Pops all that is there. */
export function receive(connection: Connection): string[] {
  const texts: string[] = [];
  for (let message = connection.front(); message !== null; message = connection.front()) {
    texts.push(message.text());
    connection.pop();
  }
  return texts;
}
