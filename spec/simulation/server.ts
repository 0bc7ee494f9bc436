import type { Connection } from '../../lib/connection/connection.js';
import type { Reception } from '../../lib/login/reception.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { isDying } from './crash.js';
import type { Endpoint } from './endpoint.js';
import { handOver } from './handover.js';
import { SimulatedJournal } from './journal.js';
import { CLIENT, SERVER } from './memory.js';
import type { Ending, SimulatedWire } from './network.js';
import { LOGIN_TIMEOUT_MS, type Scene, TIMING } from './scene.js';

const ANY = { inproc: 0, shm: 0, tcp: 0 };

/** The server's process, one after the other, and the journal that outlives them. */
export class SimulatedServer {
  readonly role = 'server';
  readonly endpoint: Endpoint;
  journal: SimulatedJournal | null = null;
  readonly #scene: Scene;
  #reception: Reception;
  #wires: SimulatedWire[] = [];

  constructor(scene: Scene, endpoint: Endpoint) {
    this.#scene = scene;
    this.endpoint = endpoint;
    this.#reception = this.#listen();
  }

  get attached(): boolean {
    return this.endpoint.connection?.side.attached === true;
  }

  poll(): void {
    const { now } = this.#scene;
    this.#reception.poll(now, () => true);
    const { connection } = this.endpoint;
    if (connection !== null && !connection.side.pollLink(now)) this.#disconnect(connection);
  }

  /** Its user closes the connection. */
  close(): void {
    const { connection } = this.endpoint;
    if (connection !== null && !this.#reception.isLoggingIn(CLIENT)) connection.close();
  }

  /** The connection goes on in another thread. */
  move(): void {
    if (this.journal === null) return;
    const wire = handOver(this.#scene, this.endpoint, this.journal, this.#wires);
    if (wire !== null) this.#wires.push(wire);
  }

  die(ending: Ending): void {
    this.endpoint.gone();
    this.journal?.file?.die();
    for (const wire of this.#wires) wire.die(ending);
    for (const wire of this.#scene.waiting.splice(0)) wire.die(ending);
    this.#wires = [];
    this.#reception = this.#listen();
  }

  #listen(): Reception {
    const scene = this.#scene;
    const reception = new scene.lib.Reception(
      {
        terms: {
          name: SERVER,
          bootId: '',
          durability: scene.disks.server ? 'disk' : 'process',
          ...TIMING,
          maxCapacityBytes: 2 ** 30,
          codec: '',
          protocol: { name: '', oldest: 0, newest: 0 },
          sendCapacityBytes: ANY,
          receiveCapacityBytes: ANY,
        },
        decide: () => ({ group: 0, reply: new Uint8Array(0) }),
        session: (_, agreement) => {
          if (reception.isLoggingIn(CLIENT)) throw this.#already();
          const known = this.endpoint.connection;
          if (known?.side.attached) {
            if (known.side.pollLink(scene.now)) throw this.#already();
            this.#disconnect(known);
          }
          if (known !== null) return known;
          const open = this.journal?.open() ?? this.#begin(agreement);
          const connection = new scene.lib.Connection(open, 'tcp', () => this.endpoint.gone());
          scene.checking(() => this.endpoint.opened(connection));
          return connection;
        },
        inquire: () => null,
        memoryOf: () => scene.violated('threads were not asked for'),
        admit: () => this.endpoint.given(),
        mismatch: (_, numbers) => scene.violated(`the server refuses: ${JSON.stringify(numbers)}`),
        refused() {},
        failed: (error) => {
          if (!isDying()) scene.failed(this.endpoint, error);
        },
      },
      {
        maxPendingLogins: 4,
        loginTimeoutMs: LOGIN_TIMEOUT_MS,
        maxLoginsPerSecond: 1e9,
        maxFailedLogins: 1e9,
        failedLoginWindowMs: 1000,
      },
    );
    reception.add(
      {
        address: { transport: 'inproc' },
        accept: () => {
          const wire = scene.waiting.shift() ?? null;
          if (wire !== null) this.#wires.push(wire);
          return wire;
        },
        close: async () => {},
      },
      { keys: null },
    );
    return reception;
  }

  #begin(sizes: { readonly clientToServer: number; readonly serverToClient: number }): OpenSegment {
    const { clientToServer, serverToClient } = sizes;
    const session = { sessionId: this.#scene.newSessionId(), clientToServer, serverToClient };
    const removed = (): void => {
      if (this.journal === journal) this.journal = null;
    };
    const journal = new SimulatedJournal(this.#scene, this.endpoint, 'server', session, removed);
    this.journal = journal;
    return journal.begin();
  }

  #disconnect(connection: Connection): void {
    connection.side.disconnect(
      { onDisconnect: (_, reason, error) => this.#scene.ended(this.endpoint, reason, error) },
      () => {},
    );
  }

  #already(): Error {
    return new this.#scene.lib.TcpshmError('ERR_ALREADY_CONNECTED', 'the client is connected already');
  }
}
