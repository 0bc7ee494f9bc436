/** A process with clients, or with a server, that does what it is told, one line of JSON after the other. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, type Message, Server, type TcpshmError } from '../../lib/index.js';

export interface PeerSettings {
  readonly role: 'client' | 'server';
  /** Of the clients, or of the server alone. */
  readonly names: readonly string[];
  readonly directory: string;
  readonly sharedDirectory: string;
  readonly transport: 'shm' | 'tcp';
  readonly connectionTimeoutMs: number;
  readonly reconnect?: boolean;
}

/** What a peer is told: `name` is that of a client. */
interface Order {
  readonly id: number;
  readonly name: string;
  readonly what: string;
  readonly value?: number;
}

const TURN_MS = 1;
/** What a handler that stalls waits for: a file in the directory. */
export const GO_ON = 'go-on';
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/** Messages are numbered: each is the text of how many were pushed before it. */
export async function runPeer(settings: PeerSettings): Promise<void> {
  const { role, names, transport, reconnect, ...options } = settings;
  const say = (word: object): void => console.log(JSON.stringify(word));
  const peers: { poll(): void }[] = [];
  const clients = new Map<string, Client>();
  const connections = new Map<string, Connection>();
  let polling = true;
  let leaving = false;
  let stalling = false;
  const handlers = {
    onMessage(connection: Connection, message: Message): void {
      if (leaving) return;
      if (stalling) {
        stalling = false;
        say({ stalled: true });
        while (!existsSync(join(settings.directory, GO_ON))) Atomics.wait(NOBODY, 0, 0, TURN_MS);
      }
      if (message.text() !== String(connection.popped)) {
        say({ wrong: message.text(), expected: connection.popped });
      }
      connection.pop();
    },
    onDisconnect(connection: Connection, reason: string, error: TcpshmError | null): void {
      const name = role === 'client' ? connection.localName : connection.remoteName;
      say({ name, ended: reason, code: error?.code ?? null, state: connection.state });
    },
  };
  const common = { ...options, ...handlers, heartbeatIntervalMs: 50 };
  if (role === 'server') {
    const server = new Server({
      ...common,
      name: names[0] as string,
      onConnection: (connection) => connections.set(connection.remoteName, connection),
    });
    peers.push(server);
    say({ port: (await server.listen({ port: 0 })).port });
  } else {
    for (const name of names) {
      const client = new Client({
        ...common,
        name,
        reconnect: reconnect ?? false,
        onReconnect: ({ outcome }) => say({ name, reconnect: outcome }),
      });
      clients.set(name, client);
      peers.push(client);
    }
    say({ ready: true });
  }

  const number = (connection: Connection, message: Message | null): boolean => {
    message?.setText(String(connection.pushed).padStart(8, '0'));
    return message !== null;
  };
  const obey = async ({ name, what, value = 0 }: Order): Promise<unknown> => {
    if (what === 'polling') {
      polling = value !== 0;
      return polling;
    }
    if (what === 'stalling') {
      stalling = value !== 0;
      return stalling;
    }
    if (what === 'leaving') {
      leaving = value !== 0;
      return leaving;
    }
    if (what === 'connect') {
      const client = clients.get(name) as Client;
      connections.set(name, await client.connect({ port: value, transport }));
      return true;
    }
    if (what === 'poll' && role === 'client') return clients.get(name)?.poll();
    if (what === 'poll') return peers[0]?.poll();
    const connection = connections.get(name) as Connection;
    const calls: Record<string, () => unknown> = {
      alloc: () => number(connection, connection.alloc(8)),
      push: () => connection.push(),
      pushMore: () => connection.pushMore(),
      publish: () => connection.publish(),
      front: () => connection.front()?.text() ?? null,
      pop: () => connection.pop(),
      send: () => connection.send(String(connection.pushed)),
      state: () => connection.state,
      pushed: () => connection.pushed,
      popped: () => connection.popped,
    };
    return (calls[what] as () => unknown)();
  };
  createInterface({ input: process.stdin }).on('line', (line) => {
    const order = JSON.parse(line) as Order;
    obey(order).then(
      (result) => say({ id: order.id, result }),
      ({ code, message }: TcpshmError) => say({ id: order.id, code, message }),
    );
  });
  for (;;) {
    if (polling) for (const peer of peers) peer.poll();
    await sleep(TURN_MS);
  }
}
