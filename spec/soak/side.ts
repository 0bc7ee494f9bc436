/** One side of a soak run, from its start to its end in order, or to its death. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, type PeerOptions, Server, type TcpshmError } from '../../lib/index.js';
import type { SoakTransport } from './arguments.js';
import type { Board, Role } from './board.js';
import { Exchange } from './exchange.js';
import { GroupServer } from './groupServer.js';

export interface SideSettings {
  readonly role: Role;
  readonly transport: SoakTransport;
  /** Of the server. */
  readonly name: string;
  readonly directory: string;
  readonly sharedDirectory: string;
  /** Where the board is. */
  readonly boardPath: string;
  /** Groups of the server in threads of their own; 0 for none. */
  readonly groups: number;
  /** Of all queues. */
  readonly capacityBytes: number;
  /** What else both peers are told. */
  readonly options: Pick<
    PeerOptions,
    'wire' | 'connectionTimeoutMs' | 'heartbeatIntervalMs' | 'loginTimeoutMs'
  >;
  /**
   * A port that stands for the server's as long as the client lives, which connects to it again by itself; 0 where
   * each server that is started has a port of its own.
   */
  readonly port: number;
}

const ROUNDS_PER_TURN = 20;
const STEPS_PER_ROUND = 4;
const RETRY_PAUSE_MS = 5;
const RECONNECT = { initialDelayMs: 5, maxDelayMs: 50 };
/** The other side is dead, died during the login, or has not noticed yet that our predecessor is. */
const WORTH_RETRYING = ['ERR_CONNECT', 'ERR_LOGIN_TIMEOUT', 'ERR_ALREADY_CONNECTED'];

/** A peer as both kinds of side have it. */
interface Peer {
  readonly connection: Connection | null;
  /** How often it was connected. */
  readonly links: number;
  poll(): void;
  close(): Promise<void>;
}

/** Exchanges messages until the board says that it ends. */
export async function runSide(board: Board, settings: SideSettings): Promise<void> {
  const { role } = settings;
  const peer = await (role === 'client'
    ? call(board, settings)
    : settings.groups > 0
      ? serveInGroups(board, settings)
      : serve(board, settings));
  const exchange = new Exchange(board, role);
  let links = 0;
  while (!board.ending) {
    for (let round = 0; round < ROUNDS_PER_TURN; round++) {
      const { connection } = peer;
      if (connection !== null) {
        if (peer.links !== links) board.linked(role, connection.pushed);
        links = peer.links;
        for (let i = 0; i < STEPS_PER_ROUND; i++) exchange.step(connection);
      }
      peer.poll();
    }
    await nextTurn();
  }
  await peer.close();
}

async function serve(board: Board, settings: SideSettings): Promise<Peer> {
  const { transport, name, directory, sharedDirectory, capacityBytes, options } = settings;
  let connection: Connection | null = null;
  let links = 0;
  let failure: unknown = null;
  const server = new Server({
    name,
    directory,
    sharedDirectory,
    sendCapacityBytes: capacityBytes,
    receiveCapacityBytes: capacityBytes,
    ...options,
    onConnection: (next) => {
      connection = next;
      links++;
    },
    onDisconnect: (_, reason, error) => {
      if (reason === 'protocol violated') failure ??= error;
    },
    onError: (error) => {
      if (error.code === 'ERR_PROTOCOL') failure ??= error;
    },
  });
  if (transport === 'inproc') await server.listen({ transport });
  // A port that is free, each time: a fixed one could be somebody's by the time of a restart.
  else board.port = (await server.listen({ port: 0 })).port;
  return {
    get connection() {
      return connection;
    },
    get links() {
      return links;
    },
    poll() {
      server.poll();
      if (failure !== null) throw failure;
    },
    close: () => server.close({ removeSessions: true }),
  };
}

/** With the exchange in the threads of groups. */
async function serveInGroups(board: Board, settings: SideSettings): Promise<Peer> {
  const { transport, name, directory, sharedDirectory, capacityBytes, options, groups, boardPath } = settings;
  const capacities = { sendCapacityBytes: capacityBytes, receiveCapacityBytes: capacityBytes };
  const places = { name, directory, sharedDirectory };
  const peer = new GroupServer(board, { ...places, ...capacities, ...options }, groups, boardPath);
  if (transport === 'inproc') await peer.server.listen({ transport });
  else board.port = (await peer.server.listen({ port: 0 })).port;
  return { connection: null, links: 0, poll: () => peer.poll(), close: () => peer.close() };
}

function call(board: Board, settings: SideSettings): Peer {
  const { transport, name, directory, sharedDirectory, options } = settings;
  let connection: Connection | null = null;
  let links = 0;
  let connecting = false;
  let failure: unknown = null;
  const staysPut = settings.port !== 0;
  const client = new Client({
    name: 'soak-client',
    directory,
    sharedDirectory,
    ...options,
    reconnect: staysPut && RECONNECT,
    onDisconnect: (_, reason, error) => {
      if (reason === 'protocol violated') failure ??= error;
    },
    onReconnect: (attempt) => {
      if (attempt.outcome === 'connected') links++;
      else if (attempt.outcome === 'given up') failure = attempt.error;
    },
  });
  const connect = async (): Promise<void> => {
    connecting = true;
    try {
      const port = staysPut ? settings.port : board.port;
      if (transport !== 'inproc' && port === 0) {
        await sleep(RETRY_PAUSE_MS);
      } else {
        connection = await client.connect(
          transport === 'inproc' ? { transport, server: name } : { port, transport, server: name },
        );
        links++;
      }
    } catch (error) {
      const { code } = error as TcpshmError;
      if (WORTH_RETRYING.includes(code)) await sleep(RETRY_PAUSE_MS);
      else failure = error;
    }
    connecting = false;
  };
  return {
    get connection() {
      return connection;
    },
    get links() {
      return links;
    },
    poll() {
      if (failure !== null) throw failure;
      if (connecting) return;
      client.poll();
      if (connection === null || (!staysPut && connection.state !== 'connected')) void connect();
    },
    close: () => client.close({ removeSessions: true }),
  };
}
