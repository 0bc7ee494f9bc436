import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import { nativeOrNull } from '../memory/native.js';
import { defaultSharedDirectory, type PeerSettings } from '../options.js';
import { DEFAULT_CAPACITY } from '../ring/layout.js';
import type { Transport } from '../session/loginMessages.js';
import { journalFileName, type Role, segmentFileName } from '../session/names.js';
import type { Capacities, Identity } from '../session/segment.js';
import { createSegmentFile, openSegmentFile } from '../store/files.js';
import { ensureFolder, ensureSharedFolder, removeIfEmpty } from '../store/folders.js';
import type { OpenSegment } from '../store/openSegment.js';
import { createPrivate, createShared, openShared } from '../store/shared.js';

const BEGUN = new Topic('tcpshm:session-begun');

/** Where a peer's sessions are kept: finds, begins and removes them. */
export class Sessions {
  readonly #settings: PeerSettings;
  readonly #role: Role;
  /** Whether every session must be to be had by other threads of this process. */
  readonly #forThreads: boolean;
  /** Segments in memory that threads share, by transport and client: they live as long as the server. */
  readonly #shared = new Map<string, SharedArrayBuffer>();
  #sharedFolder: string | null = null;

  constructor(settings: PeerSettings, role: Role, forThreads = false) {
    this.#settings = settings;
    this.#role = role;
    this.#forThreads = forThreads;
  }

  /**
   * The session of two names if there is one, opened. Throws as `openSegmentFile` and `openShared` do; a damaged file
   * is set aside, as all that is found here was begun by this side.
   */
  find(transport: Transport, client: string, server: string): OpenSegment | null {
    const path = this.#path(transport, client, server);
    if (path === null) {
      const memory = this.#shared.get(memoryKey(transport, client));
      return memory === undefined ? null : this.#opened(transport, client, memory, { client, server });
    }
    const { durability, connectionTimeoutMs: timeoutMs } = this.#settings;
    const options = { whenDamaged: 'set aside', durability, timeoutMs } as const;
    return openSegmentFile(path, this.#role, { client, server }, options);
  }

  /** Begins a session. A capacity of 0 becomes the default. Throws ERR_NO_SPACE, ERR_FILE. */
  begin(
    transport: Transport,
    client: string,
    server: string,
    capacities: Capacities,
    sessionId = newId(),
  ): OpenSegment {
    const open = this.#begin(transport, client, server, capacities, sessionId);
    if (BEGUN.listened) {
      BEGUN.tell({ client, server, transport, role: this.#role, sessionId, where: open.where });
    }
    return open;
  }

  #begin(
    transport: Transport,
    client: string,
    server: string,
    capacities: Capacities,
    sessionId: string,
  ): OpenSegment {
    const path = this.#path(transport, client, server);
    const identity: Identity = {
      client,
      server,
      sessionId,
      bootId: bootId(),
      journal: transport === 'tcp' && path !== null,
      clientToServer: capacities.clientToServer || DEFAULT_CAPACITY,
      serverToClient: capacities.serverToClient || DEFAULT_CAPACITY,
    };
    if (path !== null) {
      const { durability, connectionTimeoutMs: timeoutMs } = this.#settings;
      return createSegmentFile(path, this.#role, identity, { durability, timeoutMs });
    }
    if (transport !== 'inproc' && !this.#forThreads) return createPrivate(identity, this.#role);
    const memory = createShared(identity);
    this.#shared.set(memoryKey(transport, client), memory);
    return { ...this.#opened(transport, client, memory, identity), begun: true };
  }

  /** The memory of a session between threads. */
  memoryOf(client: string): SharedArrayBuffer {
    return this.#shared.get(memoryKey('inproc', client)) as SharedArrayBuffer;
  }

  /** Forgets a session in memory that was removed by the thread that had it. */
  forget(transport: Transport, client: string): void {
    this.#shared.delete(memoryKey(transport, client));
  }

  /** Removes the folders in shared memory if no session is left in them; one that the user named stays. */
  close(): void {
    if (this.#sharedFolder === null) return;
    removeIfEmpty(this.#sharedFolder);
    const root = defaultSharedDirectory();
    if (this.#settings.sharedDirectory === root) removeIfEmpty(root);
  }

  #opened(
    transport: Transport,
    client: string,
    memory: SharedArrayBuffer,
    expected: Partial<Identity>,
  ): OpenSegment {
    const open = openShared(memory, this.#role, expected);
    const remove = (): void => {
      open.close();
      const key = memoryKey(transport, client);
      if (this.#shared.get(key) === memory) this.#shared.delete(key);
    };
    const setAside = (): null => {
      remove();
      return null;
    };
    return { ...open, remove, setAside };
  }

  /** Null for a session that has no file. */
  #path(transport: Transport, client: string, server: string): string | null {
    const { directory, sharedDirectory } = this.#settings;
    if (transport === 'inproc') return null;
    if (transport === 'shm') {
      const owner = directory === null ? server : ensureFolder(directory);
      this.#sharedFolder = ensureSharedFolder(sharedDirectory, owner);
      return join(this.#sharedFolder, segmentFileName(client, server));
    }
    if (directory === null || nativeOrNull() === null) return null;
    return join(ensureFolder(directory), journalFileName(client, server, this.#role));
  }
}

/** Throws ERR_CAPACITY when a session was begun with other capacities than wanted now. */
export function checkCapacities(open: OpenSegment, wanted: Capacities): void {
  for (const direction of ['clientToServer', 'serverToClient'] as const) {
    const has = open.segment.identity[direction];
    if (wanted[direction] !== 0 && wanted[direction] !== has) {
      throw new TcpshmError(
        'ERR_CAPACITY',
        `the session in ${open.where} was begun with ${has} bytes ${direction}, wanted now are ${wanted[direction]}:` +
          ' use the former, or begin a new session',
      );
    }
  }
}

/** Id of this boot of the kernel, where processes can share segments; else empty. */
export function bootId(): string {
  // Read from a file, which takes longer than most of a login.
  knownBootId ??= nativeOrNull()?.bootId() ?? '';
  return knownBootId;
}

let knownBootId: string | null = null;

function memoryKey(transport: Transport, client: string): string {
  return `${client}@${transport}`;
}

function newId(): string {
  return randomBytes(8).toString('hex');
}
