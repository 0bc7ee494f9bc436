import { type Connection, MESSAGES_PER_POLL, makeConnection } from '../connection.js';
import { TcpshmError } from '../errors.js';
import { native } from '../memory/native.js';
import type { Pollable } from '../poll/drive.js';
import { type Polled, RESTLESS_MS, SWEEPS_PER_HEARTBEAT } from '../poll/polled.js';
import { PolledSet } from '../poll/polledSet.js';
import { Waker } from '../poll/waker.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { LivenessOptions } from '../session/liveness.js';
import { Renewal } from '../session/tenure.js';
import type { OpenSegment } from '../store/openSegment.js';
import { openPlace } from '../store/place.js';
import { peerPresence } from '../store/shared.js';
import { EndedLink } from '../wire/endedLink.js';
import { PresenceLink } from '../wire/presenceLink.js';
import type { GroupModule } from './module.js';
import { claim, type Parcel, parcelOf } from './parcel.js';

/** What the connections of a group need to know of their server's options. */
export interface HostSettings extends LivenessOptions {
  /** Folder of doorbells. */
  readonly sharedDirectory: string;
  readonly durability: DurabilityLevel;
}

/** Who is told what becomes of the connections, by their numbers. */
export interface HostListener {
  taken(id: number): void;
  passed(id: number, parcel: Parcel): void;
  /** With an error, it could not be opened or closed as it should. */
  left(id: number, removed: boolean, error: TcpshmError | null): void;
  /** A handler threw. */
  failed(error: TcpshmError): void;
}

interface Guest {
  readonly id: number;
  readonly connection: Connection;
}

/** The connections of a group in the thread that they belong to, from when they are taken until they end or are passed on. */
export class GroupHost implements Pollable {
  readonly #group: number;
  readonly #handlers: GroupModule;
  readonly #settings: HostSettings;
  readonly #listener: HostListener;
  readonly #renewal: Renewal;
  readonly #guests = new Map<number, Guest>();
  readonly #byConnection = new Map<Connection, Guest>();
  readonly #passing = new Set<Guest>();
  readonly waker: Waker;
  readonly alive = true;
  readonly #polled: PolledSet;
  #now = 0;
  #closed = false;

  constructor(group: number, handlers: GroupModule, settings: HostSettings, listener: HostListener) {
    this.#group = group;
    this.#handlers = handlers;
    this.#settings = settings;
    this.#listener = listener;
    this.#renewal = new Renewal(settings.heartbeatIntervalMs);
    this.waker = new Waker(settings.sharedDirectory);
    this.#polled = new PolledSet({}, this.waker, true);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get connections(): readonly Connection[] {
    return [...this.#guests.values()].map(({ connection }) => connection);
  }

  /** Goes on with a connection of another thread. */
  take(id: number, parcel: Parcel): void {
    let guest: Guest;
    try {
      guest = { id, connection: this.#open(id, parcel) };
    } catch (error) {
      this.#listener.left(id, false, this.#named('a connection could not be taken', error));
      return;
    }
    this.#add(guest);
    this.#listener.taken(id);
    this.#handle(guest, () => this.#handlers.onConnection?.(guest.connection));
  }

  /** Gives a connection up for another thread, as soon as that can be: it is `passed`, unless it has `left` by then. */
  pass(id: number): void {
    const guest = this.#guests.get(id);
    if (guest !== undefined) this.#passing.add(guest);
  }

  /** Looks whether the link of a connection has ended: if it has, the connection has `left` when this returns. */
  look(id: number, now: number): void {
    const guest = this.#guests.get(id);
    if (guest !== undefined && !guest.connection.pollLink(now)) this.#end(guest);
  }

  poll(now: number): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /** Keeps the connections over shared memory alive, shows that the sessions have an owner, and gives up what is to go. */
  pollControl(now: number): void {
    this.#now = now;
    this.#polled.look('shm', this.#watchLink);
    this.#polled.sweep(now, this.#settings.heartbeatIntervalMs / SWEEPS_PER_HEARTBEAT, this.#watchCold);
    for (const guest of [...this.#passing]) this.#pass(guest, now);
    if (!this.#renewal.due(now)) return;
    for (const guest of [...this.#guests.values()]) if (!guest.connection.renew()) this.#end(guest);
  }

  pollMessages(now: number): boolean {
    this.#now = now;
    const shm = this.#polled.visit('shm', 0, this.#serveShm);
    return this.#polled.visit('tcp', 0, this.#serveTcp) || shm;
  }

  rouse(): boolean {
    return this.#polled.rouse();
  }

  /** Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(): number {
    const rest = this.#polled.settle();
    if (rest === 'stirring') return 0;
    if (rest === 'restless' || this.#passing.size > 0) return RESTLESS_MS;
    return this.#settings.heartbeatIntervalMs / SWEEPS_PER_HEARTBEAT;
  }

  /** Closes all connections: their clients are told. */
  close(): void {
    this.#closed = true;
    for (const guest of [...this.#guests.values()]) this.#close(guest);
    this.waker.close();
  }

  readonly #serveShm = ({ connection }: Polled): boolean => {
    const drained = connection.drainWriters();
    this.#deliver(this.#guestOf(connection));
    return connection.takeMoved() || drained;
  };

  readonly #serveTcp = ({ connection }: Polled): boolean => {
    const guest = this.#guestOf(connection);
    const drained = connection.drainWriters();
    const alive = connection.pollLink(this.#now);
    this.#deliver(guest);
    if (!alive) this.#end(guest);
    return connection.takeMoved() || drained;
  };

  readonly #watchLink = ({ connection }: Polled): void => {
    if (!connection.pollLink(this.#now)) this.#end(this.#guestOf(connection));
  };

  readonly #watchCold = (polled: Polled): void => {
    const { connection } = polled;
    const alive = connection.pollLink(this.#now);
    if (!alive || connection.takeMoved() || connection.sending) polled.stir();
    if (!alive && polled.kind === 'shm') this.#end(this.#guestOf(connection));
  };

  #guestOf(connection: Connection): Guest {
    return this.#byConnection.get(connection) as Guest;
  }

  #add(guest: Guest): void {
    this.#guests.set(guest.id, guest);
    this.#byConnection.set(guest.connection, guest);
    this.#polled.add(guest.connection, 0);
  }

  #remove(guest: Guest): void {
    this.#guests.delete(guest.id);
    this.#byConnection.delete(guest.connection);
    this.#polled.remove(guest.connection);
    this.#passing.delete(guest);
  }

  #open(id: number, parcel: Parcel): Connection {
    const { transport, place, client, server, sessionId, link, loginData } = parcel.handover;
    const wire = link.kind === 'wire' && claim(parcel) ? native().adopt(link.descriptor) : null;
    let connection: Connection | null = null;
    try {
      const { durability, connectionTimeoutMs: timeoutMs } = this.#settings;
      const expected = { client, server, sessionId };
      let removed = false;
      let open = openPlace(place, 'server', expected, { durability, timeoutMs });
      if ('memory' in place) {
        open = removable(open, () => {
          removed = true;
        });
      }
      const forget = (): void => this.#forget(id, removed);
      const replicated = link.kind === 'wire' ? link.replication : null;
      connection = makeConnection(open, transport, forget, replicated);
      if (link.kind === 'ended') connection.attach(new EndedLink(link), loginData);
      else if (link.kind === 'presence')
        connection.attach(new PresenceLink(peerPresence(open.segment, 'server')), loginData);
      else if (wire !== null) connection.resume(wire, link, this.#settings, loginData);
      return connection;
    } catch (error) {
      connection?.close();
      wire?.close();
      throw error;
    }
  }

  #deliver(guest: Guest): void {
    const { connection } = guest;
    if (connection.state === 'closed') return;
    this.#handle(guest, () => connection.deliver(this.#handlers.onMessage, MESSAGES_PER_POLL));
  }

  /** Calls a handler for a connection: whatever it throws ends that one alone. */
  #handle(guest: Guest, call: () => void): void {
    try {
      call();
    } catch (error) {
      // What a peer wrote into a ring is its fault, whoever met it.
      const culprit = [...this.#guests.values()].find(({ connection }) => connection.violation === error);
      if (culprit !== undefined && error !== null) this.#end(culprit);
      else this.#fail(guest, error);
    }
  }

  /** The link has ended: hands out what has come before, tells the handlers, and closes the session. */
  #end(guest: Guest): void {
    const { connection } = guest;
    if (!connection.attached) return;
    let told = false;
    try {
      connection.disconnect(
        {
          onMessage: this.#handlers.onMessage,
          onDisconnect: (...ended) => {
            told = true;
            this.#handlers.onDisconnect?.(...ended);
          },
        },
        () => {},
      );
    } catch (error) {
      if (told) this.#report(guest, error);
      else this.#fail(guest, error);
    }
    this.#close(guest);
  }

  #fail(guest: Guest, thrown: unknown): void {
    const error = this.#report(guest, thrown);
    this.#close(guest);
    this.#tell(guest, 'handler failed', error);
  }

  #pass(guest: Guest, now: number): void {
    const { id, connection } = guest;
    this.#remove(guest);
    try {
      const handover = connection.handOver(now);
      if (handover === null) {
        this.#add(guest);
        this.#passing.add(guest);
        return;
      }
      // Before the handler, which may be the end of this thread.
      this.#listener.passed(id, parcelOf(handover));
    } catch (error) {
      this.#listener.left(id, false, this.#named('a connection could not be passed on', error));
    }
    this.#tell(guest, 'moved', null);
  }

  #tell(guest: Guest, reason: 'moved' | 'handler failed', error: TcpshmError | null): void {
    try {
      this.#handlers.onDisconnect?.(guest.connection, reason, error);
    } catch (thrown) {
      this.#report(guest, thrown);
    }
  }

  #close(guest: Guest): void {
    try {
      guest.connection.close();
    } catch (error) {
      this.#listener.failed(this.#named('a connection could not be closed as it should', error));
    }
  }

  #report({ connection }: Guest, thrown: unknown): TcpshmError {
    const what = thrown instanceof Error ? thrown.message : String(thrown);
    const error = new TcpshmError(
      'ERR_HANDLER',
      `group ${this.#group}: a handler threw for '${connection.remoteName}': ${what}`,
      thrown,
    );
    this.#listener.failed(error);
    return error;
  }

  /** A connection was closed, here or by its user: not one that is passed on, nor one that could not be taken. */
  #forget(id: number, removed: boolean): void {
    const guest = this.#guests.get(id);
    if (guest === undefined) return;
    this.#remove(guest);
    this.#listener.left(id, removed, null);
  }

  #named(what: string, error: unknown): TcpshmError {
    const { message } = error as Error;
    const code = error instanceof TcpshmError ? error.code : 'ERR_SYSTEM';
    return new TcpshmError(code, `group ${this.#group}: ${what}: ${message}`, error);
  }
}

function removable(open: OpenSegment, removed: () => void): OpenSegment {
  const remove = (): void => {
    removed();
    open.close();
  };
  return {
    ...open,
    remove,
    setAside() {
      remove();
      return null;
    },
  };
}
