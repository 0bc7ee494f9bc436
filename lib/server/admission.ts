import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import type { GroupMember } from '../group/roster.js';
import type { GroupThreads } from '../group/threads.js';
import type { Inquiry, Login, LoginHost } from '../login/loginHost.js';
import { Reception } from '../login/reception.js';
import { bootId, type Sessions } from '../login/sessions.js';
import type { PolledSet } from '../poll/polledSet.js';
import type { Agreement } from '../session/agreement.js';
import type { Reject, Transport } from '../session/loginMessages.js';
import type { SequenceNumbers } from '../session/state.js';
import { type Accepted, decide } from './decision.js';
import { Quota } from './quota.js';
import { alreadyConnected, type Register, sessionKey } from './register.js';
import type { ServerOptions, ServerSettings } from './serverOptions.js';
import type { Tidings } from './tidings.js';
import { whyFull } from './vacancy.js';

/** What is asked and told of logins. */
type LoginHandlers = Pick<ServerOptions, 'acceptLogin' | 'onConnection' | 'onSequenceMismatch' | 'onError'>;

/** Where clients have their places. */
export interface Places {
  readonly sessions: Sessions;
  readonly register: Register;
  readonly polled: PolledSet;
  /** Where groups have threads of their own. */
  readonly threads: GroupThreads | null;
}

/** Who comes in: what the logins of a server ask it, the session that a client gets, and its place. */
export class Admission implements LoginHost {
  readonly terms: LoginHost['terms'];
  readonly reception: Reception;
  readonly #settings: ServerSettings;
  readonly #handlers: LoginHandlers;
  readonly #places: Places;
  readonly #tidings: Tidings;
  readonly #quota: Quota;
  /** Sessions of connections that were handed to a thread, by client and transport. */
  readonly #handed = new Map<string, { readonly client: string; readonly transport: Transport }>();
  #admitted = 0;
  #refused = 0;
  #now = 0;
  #closed = false;

  constructor(settings: ServerSettings, handlers: LoginHandlers, places: Places, tidings: Tidings) {
    const { name, peer, maxCapacityBytes, maxSessionsPerIdentity } = settings;
    this.#settings = settings;
    this.#handlers = handlers;
    this.#places = places;
    this.#tidings = tidings;
    this.terms = { ...peer, name, bootId: bootId(), maxCapacityBytes };
    this.#quota = new Quota(maxSessionsPerIdentity, (client) => this.#isKnown(client));
    this.reception = new Reception(this, { ...settings, loginTimeoutMs: peer.loginTimeoutMs });
  }

  /** Logins that were complete. */
  get admittedLogins(): number {
    return this.#admitted;
  }

  get refusedLogins(): number {
    return this.#refused;
  }

  /** Accepts clients, and serves those that are logging in. `each` is called after every step, and says whether to go on. */
  poll(now: number, each: () => boolean): void {
    this.#now = now;
    this.reception.poll(now, each);
  }

  /** Why there is no room for a client: null where there is. Throws ERR_OPTION when there is no such group. */
  whyFull(wanted: GroupMember): string | null {
    const { polled, register, threads } = this.#places;
    const guests = {
      polled,
      polledOf: (client: string) => register.polledOf(client),
      roster: threads?.roster ?? null,
      seats: this.reception.seats,
    };
    return whyFull(wanted, guests, this.#settings.maxConnections);
  }

  /** Nobody comes in any more. */
  close(): Promise<void> {
    this.#closed = true;
    return this.reception.close();
  }

  /** Removes the sessions of connections that threads had: they are all closed by now. */
  removeHanded(): void {
    for (const { client, transport } of this.#handed.values()) {
      try {
        this.#places.sessions.find(transport, client, this.#settings.name)?.remove();
      } catch (error) {
        // Another process has it by now, say.
        this.failed(error as TcpshmError);
      }
    }
  }

  // What logins ask.

  decide(login: Login): Accepted | Reject {
    const { acceptLogin } = this.#handlers;
    const answer = decide(login, acceptLogin?.bind(this.#handlers), (thrown) =>
      this.#tidings.addThrown(thrown),
    );
    if (!('group' in answer)) return answer;
    const { name: remoteName, transport } = login;
    const reason = this.whyFull({ remoteName, transport, group: answer.group }) ?? this.#quota.whyOver(login);
    return reason === null ? answer : { code: 'ERR_LOGIN_REJECTED', reason, blameless: true };
  }

  inquire(client: string, group: number): Inquiry | null {
    return this.#places.threads?.inquire(client, group) ?? null;
  }

  session(client: string, agreement: Agreement): Connection {
    const { register, threads } = this.#places;
    const { name } = this.#settings;
    if (this.reception.isLoggingIn(client)) {
      throw alreadyConnected(`the client '${client}' is logging in to '${name}' already`);
    }
    register.vacate(client, this.#now);
    if (threads?.roster.find(client)) {
      throw alreadyConnected(`the client '${client}' is connected to '${name}' already`);
    }
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the server '${name}' is closed`);
    return register.session(client, agreement);
  }

  memoryOf(client: string): SharedArrayBuffer {
    return this.#places.sessions.memoryOf(client);
  }

  admit(connection: Connection, group: number): void {
    this.#admitted++;
    const { register, threads } = this.#places;
    if (threads !== null) {
      const { remoteName: client, transport } = connection;
      this.#handed.set(sessionKey(client, transport), { client, transport });
      threads.bring(connection, group);
      return;
    }
    register.admit(connection, group);
    this.#tidings.add(() => {
      if (connection.state !== 'closed') this.#handlers.onConnection?.(connection);
    });
  }

  mismatch(connection: Connection, numbers: SequenceNumbers): void {
    this.#tidings.add(() => {
      try {
        this.#handlers.onSequenceMismatch?.(connection, numbers);
      } finally {
        connection.side.abandonLogin();
      }
    });
  }

  refused(): void {
    this.#refused++;
  }

  failed(error: TcpshmError): void {
    this.#tidings.add(() => this.#handlers.onError?.(error));
  }

  /** Whether a client of that name has a session here, or is about to. */
  #isKnown(client: string): boolean {
    const { register, threads } = this.#places;
    return (
      register.has(client) ||
      threads?.roster.find(client) != null ||
      this.reception.seats.some(({ hello }) => hello.client === client)
    );
  }
}
