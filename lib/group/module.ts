import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import type { DisconnectReason } from '../session/disconnect.js';

/** What a group is told when its thread starts. */
export interface GroupContext {
  readonly group: number;
  /** Aborted when the server closes: for what the module does beside its connections. */
  readonly signal: AbortSignal;
}

/**
 * What a module exports whose handlers run in the threads of groups (`groups.worker`). It is loaded once in each
 * thread, and the connections that its handlers get are those of their group: no other thread has them.
 *
 * What a handler throws, the server's `onError` gets as the cause of an ERR_HANDLER; the connection that it was called
 * for ends with 'handler failed', its client may log in again, and all others go on. An error that nobody catches ends
 * the thread, as it does any: the server replaces it, and the clients of the group log in again.
 */
export interface GroupModule {
  /** A message has arrived. It comes again with the next poll until `connection.pop()`. */
  readonly onMessage: (connection: Connection, message: Message) => void;
  /** A connection is this group's: its client has logged in, or it was moved from another group. */
  readonly onConnection?: (connection: Connection) => void;
  /**
   * A connection is no longer this group's. It is closed afterwards, and already with the reasons 'moved', 'taken over'
   * and 'handler failed'; what was not popped comes again in the next one of its session.
   */
  readonly onDisconnect?: (
    connection: Connection,
    reason: DisconnectReason,
    error: TcpshmError | null,
  ) => void;
  /** Before the first connection. While it waits the server does not listen yet; if it throws, `listen` does. */
  readonly onStart?: (context: GroupContext) => void | Promise<void>;
  /** The server closes, and all connections are closed: the thread ends after it. */
  readonly onStop?: () => void | Promise<void>;
}

const OPTIONAL = ['onConnection', 'onDisconnect', 'onStart', 'onStop'] as const;

/** What `import` takes for a module. Throws ERR_OPTION when it is not clear which module is meant. */
export function moduleUrl(worker: unknown): string {
  if (worker instanceof URL) return worker.href;
  if (typeof worker === 'string' && isAbsolute(worker)) return pathToFileURL(worker).href;
  if (typeof worker === 'string' && /^(file|data|node):/.test(worker)) return worker;
  throw new TcpshmError(
    'ERR_OPTION',
    `groups.worker must be a URL or an absolute path of a module, got ${JSON.stringify(worker)}`,
  );
}

/** Loads a module, in this thread. Throws what loading it throws, ERR_OPTION when it does not export what it must. */
export async function loadModule(url: string): Promise<GroupModule> {
  const module = (await import(url)) as Partial<Record<keyof GroupModule, unknown>>;
  if (typeof module.onMessage !== 'function') throw wrongExport(url, 'onMessage', module.onMessage);
  for (const name of OPTIONAL) {
    const value = module[name];
    if (value !== undefined && typeof value !== 'function') throw wrongExport(url, name, value);
  }
  return module as unknown as GroupModule;
}

function wrongExport(url: string, name: string, value: unknown): TcpshmError {
  const shown = url.length > 200 ? `${url.slice(0, 200)}…` : url;
  return new TcpshmError('ERR_OPTION', `${shown} must export a function ${name}, got ${String(value)}`);
}
