/** What the specs of clients and servers share: peers that are closed afterwards, and other processes and threads. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import {
  Client,
  type ClientOptions,
  type Connection,
  type ConnectOptions,
  type DisconnectReason,
  type ErrorCode,
  Server,
  type ServerOptions,
  TcpshmError,
} from '../../lib/index.js';
import { type Folders, newFolders } from '../support/folders.js';
import { until } from '../support/until.js';

export const LIBRARY = new URL('../../lib/index.js', import.meta.url).href;

/** Every way in which two peers can be connected. */
export const WAYS = ['tcp native', 'tcp net', 'shm', 'inproc'] as const;
export type Way = (typeof WAYS)[number];

export interface Ended {
  readonly connection: Connection;
  readonly reason: DisconnectReason;
  readonly error: TcpshmError | null;
}

let serial = 0;

/** A name that nothing else in this process has. */
export function newName(what: string): string {
  return `${what}-${process.pid}-${serial++}`;
}

/** Everything that one spec makes, to be taken away after it. */
export class Scene {
  readonly folders: Folders = newFolders();
  readonly serverName = newName('server');
  readonly clientName = newName('client');
  readonly #servers: Server[] = [];
  readonly #clients: Client[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #workers: Worker[] = [];
  readonly #sockets: Socket[] = [];
  readonly #listeners: NetServer[] = [];

  /** Polls what there is, then lets the event loop turn. */
  readonly turn = async (): Promise<void> => {
    for (const server of this.#servers) if (!server.closed) server.poll();
    for (const client of this.#clients) if (!client.closed) client.poll();
    await nextTurn();
  };

  server(options: Partial<ServerOptions> = {}): Server {
    const server = new Server({
      name: this.serverName,
      ...this.places,
      sendCapacityBytes: 4096,
      receiveCapacityBytes: 4096,
      ...options,
    });
    this.#servers.push(server);
    return server;
  }

  client(options: Partial<ClientOptions> = {}): Client {
    const client = new Client({ name: this.clientName, ...this.places, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Options of a client or server for a way. */
  wire(way: Way): { wire: 'native' | 'net' } {
    return { wire: way === 'tcp net' ? 'net' : 'native' };
  }

  /** Lets a server listen, and tells a client how to connect to it. */
  async address(server: Server, way: Way): Promise<ConnectOptions> {
    if (way === 'inproc') {
      await server.listen({ transport: 'inproc' });
      return { transport: 'inproc', server: server.name };
    }
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    return { port, transport: way === 'shm' ? 'shm' : 'tcp' };
  }

  /** Polls everything until the condition holds. */
  until(condition: () => boolean, what: string): Promise<void> {
    return until(condition, what, this.turn);
  }

  /** Polls everything until a promise is settled, and gives what it was settled with. */
  async settled<T>(promise: Promise<T>, what: string): Promise<T> {
    let waiting = true;
    const done = (): void => {
      waiting = false;
    };
    promise.then(done, done);
    await this.until(() => !waiting, what);
    return promise;
  }

  connect(client: Client, options: ConnectOptions): Promise<Connection> {
    return this.settled(client.connect(options), 'a login');
  }

  /** Polls everything until a promise was rejected with this code. */
  async refused(promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<TcpshmError> {
    const error = await this.settled(
      promise.then(
        () => null,
        (reason: unknown) => reason,
      ),
      `an error ${code}`,
    );
    return expectError(error, code, message);
  }

  /** A client connected with a server, and what both have heard. */
  async pair(
    way: Way,
    serverOptions: Partial<ServerOptions> = {},
    clientOptions: Partial<ClientOptions> = {},
  ): Promise<Pair> {
    const log: string[] = [];
    const serverEnded: Ended[] = [];
    const clientEnded: Ended[] = [];
    let remote: Connection | null = null;
    const server = this.server({
      ...this.wire(way),
      onConnection(connection) {
        remote = connection;
        log.push('server: connection');
      },
      onMessage(connection, message) {
        log.push(`server: ${message.text()}`);
        connection.pop();
      },
      onDisconnect(connection, reason, error) {
        serverEnded.push({ connection, reason, error });
        log.push(`server: ${reason}`);
      },
      ...serverOptions,
    });
    const client = this.client({
      ...this.wire(way),
      onMessage(connection, message) {
        log.push(`client: ${message.text()}`);
        connection.pop();
      },
      onDisconnect(connection, reason, error) {
        clientEnded.push({ connection, reason, error });
        log.push(`client: ${reason}`);
      },
      ...clientOptions,
    });
    const address = await this.address(server, way);
    const local = await this.connect(client, address);
    await this.until(
      () => server.connections.some((connection) => connection.state === 'connected'),
      'the server to have the connection',
    );
    remote ??= server.connections[0] as Connection;
    return { server, client, address, local, remote, log, serverEnded, clientEnded };
  }

  /**
   * A process that runs a module of this text, with the library as `tcpshm`. What it prints are its words. With
   * `descriptors`, it may have so many open; `within` is a command that it is run by, `flags` are for Node.js.
   */
  child(
    text: string,
    environment: Record<string, string> = {},
    descriptors = 4096,
    within: readonly string[] = [],
    flags: readonly string[] = [],
  ): Talk {
    const limited = ['-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', ...within];
    const node = [process.execPath, '--expose-gc', ...flags, '--input-type=module', '-e', program(text)];
    const child = spawn('sh', [...limited, ...node], {
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#children.push(child);
    const words: string[] = [];
    createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on('line', (line) =>
      words.push(line),
    );
    return { child, words };
  }

  /** A thread of the same kind, whose words are its messages. */
  worker(text: string, workerData: unknown = null): { worker: Worker; words: unknown[] } {
    const source = `data:text/javascript,${encodeURIComponent(program(text))}`;
    const worker = new Worker(new URL(source), { workerData });
    this.#workers.push(worker);
    const words: unknown[] = [];
    worker.on('message', (word) => words.push(word));
    return { worker, words };
  }

  /** A raw socket, and what it has received. */
  async socket(
    address: ConnectOptions,
    localAddress = '127.0.0.1',
  ): Promise<{ socket: Socket; received: Buffer[]; ended(): boolean }> {
    const { port } = address as { port: number };
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    this.#sockets.push(socket);
    const received: Buffer[] = [];
    let ended = false;
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      ended = true;
    });
    await once(socket, 'connect');
    return { socket, received, ended: () => ended };
  }

  /** A raw listener that does with each socket what it is told. */
  async listener(onSocket: (socket: Socket) => void = () => {}): Promise<{ port: number; transport: 'tcp' }> {
    const listener = createServer((socket) => {
      this.#sockets.push(socket);
      socket.on('error', () => {});
      onSocket(socket);
    });
    this.#listeners.push(listener);
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return { port: (listener.address() as AddressInfo).port, transport: 'tcp' };
  }

  /** Files below both folders. */
  files(): string[] {
    const { directory, sharedDirectory } = this.folders;
    return [directory, sharedDirectory]
      .filter((folder) => existsSync(folder))
      .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
  }

  async end(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const listener of this.#listeners) await new Promise((resolve) => listener.close(resolve));
    for (const client of this.#clients) await client.close();
    for (const server of this.#servers) await server.close();
    for (const worker of this.#workers) await worker.terminate();
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    this.folders.remove();
  }

  /** Where its clients and servers keep their files. */
  get places(): { directory: string; sharedDirectory: string } {
    const { directory, sharedDirectory } = this.folders;
    return { directory, sharedDirectory };
  }
}

export interface Pair {
  readonly server: Server;
  readonly client: Client;
  readonly address: ConnectOptions;
  /** The client's connection and the server's. */
  readonly local: Connection;
  readonly remote: Connection;
  readonly log: string[];
  readonly serverEnded: Ended[];
  readonly clientEnded: Ended[];
}

export interface Talk {
  readonly child: ChildProcess;
  readonly words: string[];
}

export function expectError(error: unknown, code: ErrorCode, message = /./): TcpshmError {
  expect(error, String(error)).to.be.instanceOf(TcpshmError);
  expect((error as TcpshmError).code, String(error)).to.equal(code);
  expect((error as TcpshmError).message).to.match(message);
  return error as TcpshmError;
}

function program(text: string): string {
  return `import * as tcpshm from ${JSON.stringify(LIBRARY)};
import { Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
const say = (word) => parentPort ? parentPort.postMessage(word) : console.log(word);
// A process does not outlive the one that started it, however that ends: the other end of this pipe is closed then.
if (parentPort === null) new Socket({ fd: 3 }).on('end', () => process.exit()).resume().unref();
${text}`;
}

/** The link ends on this side, and the other one is told: as when the socket is given up. */
export function dropLink(connection: Connection): void {
  connection.side.disconnect({}, () => {});
}
