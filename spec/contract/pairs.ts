import { setImmediate as nextTurn } from 'node:timers/promises';
import { Client, type ClientOptions, type Connection, RingChannel, Server } from '../../lib/index.js';
import { authority, certificate } from '../support/certificates.js';
import { type Folders, newFolders } from '../support/folders.js';
import { FrameCutter } from '../support/frameCutter.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';
import type { Pair } from './queueContract.js';

/** The clock of these pairs stands still: nothing happens because time passes. */
const NOW = 0;

/** Both ends of a RingChannel: `b` is the one that can be opened again. */
export async function openChannel(capacityBytes: number): Promise<Pair> {
  const channel = new RingChannel({ capacityBytes });
  return new ChannelPair(channel);
}

class ChannelPair implements Pair {
  readonly #channel: RingChannel;
  b: Connection;

  constructor(channel: RingChannel) {
    this.#channel = channel;
    this.b = RingChannel.open(channel.remote);
  }

  get a(): Connection {
    return this.#channel.local;
  }

  async turn(): Promise<void> {
    for (const end of [this.a, this.b]) if (end.state !== 'closed') end.poll({});
    await nextTurn();
  }

  async disconnect(): Promise<void> {
    this.b.close();
  }

  async resume(): Promise<void> {
    this.b = RingChannel.open(this.#channel.remote);
  }

  async reopen(): Promise<void> {
    await this.disconnect();
    await this.resume();
  }

  async close(): Promise<void> {
    this.a.close();
    this.b.close();
  }
}

/** What lies between a client and a server. */
export interface Between {
  readonly transport: 'inproc' | 'shm' | 'tcp';
  readonly wire?: 'native' | 'net';
  /** Over TLS. */
  readonly tls?: true;
  /** Puts a relay between the two, which cuts connections, and frames in so many pieces. */
  readonly piecesPerFrame?: number;
}

let pairs = 0;

/**
 * A client and a server, in this thread. With a relay the client is `a`; without one it is `b`, as a disconnect then
 * closes it.
 */
export async function openPeers(capacityBytes: number, between: Between): Promise<Pair> {
  const pair = new PeerPair(capacityBytes, between);
  await pair.start();
  return pair;
}

class PeerPair implements Pair {
  readonly #between: Between;
  readonly #options: Omit<ClientOptions, 'name'>;
  readonly #folders: Folders = newFolders();
  readonly #serverName = `server-${process.pid}-${++pairs}`;
  #relay: Relay | null = null;
  #cutter: FrameCutter | null = null;
  #port = 0;
  #client: Client;
  #server: Server;
  #ofClient: Connection | null = null;
  #ofServer: Connection | null = null;

  constructor(capacityBytes: number, between: Between) {
    this.#between = between;
    this.#options = {
      directory: this.#folders.directory,
      sharedDirectory: this.#folders.sharedDirectory,
      sendCapacityBytes: capacityBytes,
      receiveCapacityBytes: capacityBytes,
      loginTimeoutMs: 30_000,
      ...(between.wire === undefined ? {} : { wire: between.wire }),
    };
    this.#client = this.#newClient();
    this.#server = this.#newServer();
  }

  async start(): Promise<void> {
    const { piecesPerFrame } = this.#between;
    if (piecesPerFrame !== undefined) {
      if (piecesPerFrame > 1) this.#cutter = new FrameCutter(piecesPerFrame);
      this.#relay = await Relay.listen(this.#cutter?.carry);
    }
    await this.#listen();
    await this.resume();
  }

  get a(): Connection {
    return (this.#relay === null ? this.#ofServer : this.#ofClient) as Connection;
  }
  get b(): Connection {
    return (this.#relay === null ? this.#ofClient : this.#ofServer) as Connection;
  }

  async turn(): Promise<void> {
    if (!this.#client.closed) this.#client.poll(NOW);
    if (!this.#server.closed) this.#server.poll(NOW);
    await nextTurn();
  }

  async disconnect(): Promise<void> {
    const relay = this.#relay;
    if (relay === null) {
      this.b.close();
    } else {
      const { cuts } = relay;
      relay.cut();
      if (relay.cuts === cuts) throw new Error('there was nothing to cut');
    }
    await until(
      () => this.a.state !== 'connected' && this.b.state !== 'connected',
      'both sides to notice the end',
      () => this.turn(),
    );
  }

  async resume(): Promise<void> {
    const { transport } = this.#between;
    const server = this.#serverName;
    const connecting = this.#client.connect(
      transport === 'inproc'
        ? { transport, server }
        : { transport, server, port: this.#port, ...(this.#between.tls && { tls: { ca: authority } }) },
    );
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    connecting.then(settle, settle);
    await until(
      () => settled,
      'a login',
      () => {
        this.#server.poll(NOW);
        return nextTurn();
      },
    );
    this.#ofClient = await connecting;
  }

  async reopen(side: 'a' | 'b'): Promise<void> {
    const ofClient = this.#relay === null ? 'b' : 'a';
    if (side === ofClient) {
      await this.#client.close();
      this.#client = this.#newClient();
      await until(
        () => this.#ofServer?.state !== 'connected',
        'the server to notice',
        () => this.turn(),
      );
    } else {
      await this.#server.close();
      await until(
        () => this.#ofClient?.state !== 'connected',
        'the client to notice',
        () => this.turn(),
      );
      this.#server = this.#newServer();
      await this.#listen();
    }
    await this.resume();
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#server.close();
    await this.#relay?.close();
    this.#folders.remove();
    if (this.#cutter?.framesCut === 0) throw new Error('no frame was cut');
  }

  #newClient(): Client {
    return new Client({ ...this.#options, name: 'client' });
  }

  #newServer(): Server {
    return new Server({
      ...this.#options,
      name: this.#serverName,
      onConnection: (connection) => {
        this.#ofServer = connection;
      },
    });
  }

  async #listen(): Promise<void> {
    if (this.#between.transport === 'inproc') {
      await this.#server.listen({ transport: 'inproc' });
      return;
    }
    const { port } = await this.#server.listen({
      port: 0,
      ...(this.#between.tls && { tls: certificate('server') }),
    });
    if (this.#relay !== null) this.#relay.targetPort = port;
    this.#port = this.#relay?.port ?? port;
  }
}
