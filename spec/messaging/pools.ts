/** What the specs of destinations share: pools of connections, and servers that they go to, also in processes of their own. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import {
  Destination,
  type DestinationAddresses,
  type DestinationEvent,
  type DestinationOptions,
  messenger,
  type Server,
  type ServerOptions,
} from '../../lib/index.js';
import { Scene, type Talk } from '../peers/support.js';
import { until } from '../support/until.js';

const MESSENGER = new URL('../../lib/messaging/messenger.js', import.meta.url).href;

/** A server in a process of its own, which may be killed: its name and port are as given, so it can come back. */
const SERVER = `
import { messenger } from ${JSON.stringify(MESSENGER)};
const { NAME, PORT, DIRECTORY, SHARED } = process.env;
const server = new tcpshm.Server({
  name: NAME,
  directory: DIRECTORY,
  sharedDirectory: SHARED,
  onConnection(connection) {
    say('connection ' + connection.remoteName);
    if (connection.userData !== undefined) return;
    connection.userData = messenger(connection)
      .handle('echo', (value) => { say('echo ' + (value.name ?? '')); return value; })
      .handle('length', (value) => { say('length ' + value.name); return value.bytes.length; })
      .handle('hang', (value) => { say('hang ' + value.name); return new Promise(() => {}); });
  },
  onError() {},
});
await server.listen({ host: '127.0.0.1', port: Number(PORT) });
say('listening');
await server.run();
`;

export class Pools extends Scene {
  readonly #destinations: Destination[] = [];
  readonly events: DestinationEvent[] = [];
  /** Those that a spec polls itself. */
  readonly apart = new Set<Destination>();

  destination(addresses: DestinationAddresses, options: Partial<DestinationOptions> = {}): Destination {
    const destination = new Destination(addresses, {
      name: this.clientName,
      ...this.places,
      backoff: { initialDelayMs: 10, maxDelayMs: 50 },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#destinations.push(destination);
    return destination;
  }

  /** A server of this process, whose handlers tell what they run. */
  serving(runs: unknown[], options: Partial<ServerOptions> = {}): Server {
    const server = this.server({
      sendCapacityBytes: 2 ** 20,
      receiveCapacityBytes: 2 ** 20,
      onConnection(connection) {
        if (connection.userData !== undefined) return;
        connection.userData = messenger(connection)
          .handle('echo', (value: unknown) => {
            runs.push(value);
            return value;
          })
          .handle('hang', (value: unknown) => {
            runs.push(value);
            return new Promise(() => {});
          });
      },
      ...options,
    });
    return server;
  }

  /** Polls all that there is until the condition holds. */
  override until(condition: () => boolean, what: string): Promise<void> {
    return until(condition, what, async () => {
      for (const destination of this.#destinations) if (!this.apart.has(destination)) destination.poll();
      await this.turn();
    });
  }

  /** A process that serves: as the server of this name, so that it can be killed and started again. */
  async process(name: string, port: number): Promise<Talk> {
    const { directory, sharedDirectory } = this.places;
    const environment = { NAME: name, PORT: String(port), DIRECTORY: directory, SHARED: sharedDirectory };
    const talk = this.child(SERVER, environment);
    await this.until(() => talk.words.includes('listening'), `the server ${name}`);
    return talk;
  }

  /** Outcomes of promises, as they are settled. */
  outcomes(promises: Record<string, Promise<unknown>>): Record<string, unknown> {
    const outcomes: Record<string, unknown> = {};
    for (const [name, promise] of Object.entries(promises)) {
      promise.then(
        (value) => {
          expect(outcomes).not.to.have.property(name);
          outcomes[name] = value;
        },
        (error: { code?: string }) => {
          expect(outcomes).not.to.have.property(name);
          outcomes[name] = error.code ?? error;
        },
      );
    }
    return outcomes;
  }

  override async end(): Promise<void> {
    const ended = Promise.all(this.#destinations.map((destination) => destination.close({ force: true })));
    await ended;
    await super.end();
  }
}

export async function kill({ child }: Talk): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
