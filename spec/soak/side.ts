/** One side of a soak run, from its start to its end in order, or to its death. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, Server, type TcpshmError } from '../../lib/index.js';
import type { SoakTransport } from './arguments.js';
import type { Board, Role } from './board.js';
import { Exchange } from './exchange.js';

export interface SideSettings {
  readonly role: Role;
  readonly transport: SoakTransport;
  /** Of the server. */
  readonly name: string;
  readonly directory: string;
  readonly sharedDirectory: string;
}

/** Small, so that queues run full and wrap all the time. */
const CAPACITY_BYTES = 65536;
const ROUNDS_PER_TURN = 20;
const STEPS_PER_ROUND = 4;
const RETRY_PAUSE_MS = 5;
/** The other side is dead, died during the login, or has not noticed yet that our predecessor is. */
const WORTH_RETRYING = ['ERR_CONNECT', 'ERR_LOGIN_TIMEOUT', 'ERR_ALREADY_CONNECTED'];

/** A peer as both kinds of side have it. */
interface Peer {
  readonly connection: Connection | null;
  poll(): void;
  close(): Promise<void>;
}

/** Exchanges messages until the board says that it ends. */
export async function runSide(board: Board, settings: SideSettings): Promise<void> {
  const { role } = settings;
  const peer = role === 'server' ? await serve(board, settings) : call(board, settings);
  const exchange = new Exchange(board, role);
  let began = false;
  while (!board.ending) {
    for (let round = 0; round < ROUNDS_PER_TURN; round++) {
      const { connection } = peer;
      if (connection !== null) {
        if (!began) board.setBegan(role, connection.pushed);
        began = true;
        for (let i = 0; i < STEPS_PER_ROUND; i++) exchange.step(connection);
      }
      peer.poll();
    }
    await nextTurn();
  }
  await peer.close();
}

async function serve(board: Board, settings: SideSettings): Promise<Peer> {
  const { transport, name, directory, sharedDirectory } = settings;
  let connection: Connection | null = null;
  const server = new Server({
    name,
    directory,
    sharedDirectory,
    sendCapacityBytes: CAPACITY_BYTES,
    receiveCapacityBytes: CAPACITY_BYTES,
    onConnection: (next) => {
      connection = next;
    },
  });
  if (transport === 'inproc') await server.listen({ transport });
  // A port that is free, each time: a fixed one could be somebody's by the time of a restart.
  else board.port = (await server.listen({ port: 0 })).port;
  return {
    get connection() {
      return connection;
    },
    poll: () => server.poll(),
    close: () => server.close({ removeSessions: true }),
  };
}

function call(board: Board, settings: SideSettings): Peer {
  const { transport, name, directory, sharedDirectory } = settings;
  const client = new Client({ name: 'soak-client', directory, sharedDirectory });
  let connection: Connection | null = null;
  let connecting = false;
  let failure: unknown = null;
  const connect = async (): Promise<void> => {
    connecting = true;
    try {
      const { port } = board;
      if (transport === 'inproc') connection = await client.connect({ transport, server: name });
      else if (port !== 0) connection = await client.connect({ port, transport, server: name });
      else await sleep(RETRY_PAUSE_MS);
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
    poll() {
      if (failure !== null) throw failure;
      if (connecting) return;
      client.poll();
      if (connection?.state !== 'connected') void connect();
    },
    close: () => client.close({ removeSessions: true }),
  };
}
