import type { ClientLogin } from '../../lib/login/clientLogin.js';
import { isDying } from './crash.js';
import type { Endpoint } from './endpoint.js';
import { handOver } from './handover.js';
import { SimulatedJournal } from './journal.js';
import { CLIENT, SERVER } from './memory.js';
import type { Ending, SimulatedWire } from './network.js';
import { LOGIN_TIMEOUT_MS, type Scene, TIMING } from './scene.js';

/** The client's process, one after the other, and the journal that outlives them. */
export class SimulatedClient {
  readonly role = 'client';
  readonly endpoint: Endpoint;
  journal: SimulatedJournal | null = null;
  readonly #scene: Scene;
  #login: ClientLogin | null = null;
  #dialled = 0;
  #wires: SimulatedWire[] = [];

  constructor(scene: Scene, endpoint: Endpoint) {
    this.#scene = scene;
    this.endpoint = endpoint;
  }

  get attached(): boolean {
    return this.endpoint.connection?.side.attached === true;
  }

  /** Connects, unless it is connected or connecting. */
  dial(): void {
    if (this.#login !== null || this.attached) return;
    const { lib, network, now, sizes } = this.#scene;
    const [mine, servers] = network.connect();
    this.#scene.waiting.push(servers);
    this.#wires = [mine];
    this.#dialled = now;
    const hello = {
      client: CLIENT,
      server: SERVER,
      transport: 'tcp',
      bootId: '',
      ...sizes,
      overTcp: sizes,
      ...TIMING,
      codec: '',
      protocol: { name: '', oldest: 0, newest: 0 },
      login: new Uint8Array(0),
    } as const;
    this.#login = new lib.ClientLogin(mine, hello, {
      liveness: TIMING,
      known: () => this.endpoint.connection,
      find: () => this.journal?.open() ?? null,
      begin: ({ sessionId, clientToServer, serverToClient }) => {
        const session = { sessionId, clientToServer, serverToClient };
        const removed = (): void => {
          if (this.journal === journal) this.journal = null;
        };
        const journal = new SimulatedJournal(this.#scene, this.endpoint, 'client', session, removed);
        this.journal = journal;
        return journal.begin();
      },
      connection: (open) => {
        const connection = new lib.Connection(open, 'tcp', () => this.endpoint.gone());
        this.#scene.checking(() => this.endpoint.opened(connection));
        return connection;
      },
      mismatch: (_, numbers) => this.#scene.violated(`the client refuses: ${JSON.stringify(numbers)}`),
    });
  }

  poll(): void {
    const { now } = this.#scene;
    const { connection } = this.endpoint;
    if (this.#login !== null) this.#pollLogin(this.#login);
    else if (connection !== null && !connection.side.pollLink(now)) {
      connection.side.disconnect(
        { onDisconnect: (_, reason, error) => this.#scene.ended(this.endpoint, reason, error) },
        () => {},
      );
    }
  }

  /** Its user closes the connection. */
  close(): void {
    this.endpoint.connection?.close();
  }

  /** The connection goes on in another thread. */
  move(): void {
    if (this.journal === null || this.#login !== null) return;
    const wire = handOver(this.#scene, this.endpoint, this.journal, this.#wires);
    if (wire !== null) this.#wires.push(wire);
  }

  die(ending: Ending): void {
    this.#login = null;
    this.endpoint.gone();
    this.journal?.file?.die();
    for (const wire of this.#wires) wire.die(ending);
    this.#wires = [];
  }

  #pollLogin(login: ClientLogin): void {
    try {
      const connection = login.poll();
      if (connection !== null) {
        this.#login = null;
        this.endpoint.given();
      } else if (this.#scene.now - this.#dialled > LOGIN_TIMEOUT_MS) this.#giveUp(login);
    } catch (error) {
      if (isDying()) throw error;
      this.#scene.failed(this.endpoint, error);
      this.#giveUp(login);
    }
  }

  #giveUp(login: ClientLogin): void {
    this.#login = null;
    login.abandon();
  }
}
