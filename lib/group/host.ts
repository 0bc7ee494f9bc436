import type { Connection } from '../connection/connection.js';
import { NO_TALLY, since, sumOf, type Tally } from '../connection/tally.js';
import { TcpshmError } from '../errors.js';
import type { Pollable } from '../poll/drive.js';
import { PolledSet } from '../poll/polledSet.js';
import { Service } from '../poll/service.js';
import { Waker } from '../poll/waker.js';
import type { DisconnectReason } from '../session/disconnect.js';
import { Renewal } from '../session/tenure.js';
import type { GroupModule } from './module.js';
import { type HostSettings, openParcel, type Parcel, parcelOf } from './parcel.js';
import type { ThreadReport } from './threadStats.js';

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
  /** What it had counted when it came. */
  readonly before: Tally;
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
  /** Those that are to be given up, as soon as that can be. */
  readonly #passing = new Set<Guest>();
  /** The one that is being given up. */
  #handing: Guest | null = null;
  readonly waker: Waker;
  readonly alive = true;
  readonly #polled: PolledSet;
  readonly service: Service;
  #closed = false;
  /** Of connections that it had. */
  #gone = NO_TALLY;

  constructor(group: number, handlers: GroupModule, settings: HostSettings, listener: HostListener) {
    this.#group = group;
    this.#handlers = handlers;
    this.#settings = settings;
    this.#listener = listener;
    this.#renewal = new Renewal(settings.heartbeatIntervalMs);
    this.waker = new Waker(settings.sharedDirectory);
    this.#polled = new PolledSet({}, this.waker, true);
    this.service = new Service(this.#polled, settings.heartbeatIntervalMs, {
      onMessage: handlers.onMessage,
      ended: (connection) => this.#end(this.#guestOf(connection)),
      threw: (connection, error) => this.#fail(this.#guestOf(connection), error),
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  get connections(): readonly Connection[] {
    return [...this.#guests.values()].map(({ connection }) => connection);
  }

  /** What is told of this thread: of what its connections have counted elsewhere, nothing. */
  get report(): ThreadReport {
    let total = this.#gone;
    for (const { connection, before } of this.#guests.values()) {
      total = sumOf(total, since(before, connection.side.tally));
    }
    const { sleeps, wakeups } = this.waker;
    return { connections: this.#guests.size, sleeps, wakeups, total };
  }

  /** Goes on with a connection of another thread. */
  take(id: number, parcel: Parcel): void {
    let guest: Guest;
    try {
      const connection = openParcel(parcel, this.#settings, (removed) => this.#forget(id, removed));
      guest = { id, connection, before: connection.side.tally };
    } catch (error) {
      this.#listener.left(id, false, this.#named('a connection could not be taken', error));
      return;
    }
    this.#add(guest);
    this.#listener.taken(id);
    try {
      this.#handlers.onConnection?.(guest.connection);
    } catch (error) {
      this.#blame(guest, error);
    }
  }

  /** Gives a connection up for another thread, as soon as that can be: it is `passed`, unless it has `left` by then. */
  pass(id: number): void {
    const guest = this.#guests.get(id);
    if (guest !== undefined) this.#passing.add(guest);
  }

  /** Looks whether the link of a connection has ended: if it has, the connection has `left` when this returns. */
  look(id: number, now: number): void {
    const guest = this.#guests.get(id);
    if (guest !== undefined && !guest.connection.side.pollLink(now)) this.#end(guest);
  }

  poll(now: number): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /** Keeps the connections over shared memory alive, shows that the sessions have an owner, and gives up what is to go. */
  pollControl(now: number): void {
    this.service.control(now);
    for (const guest of [...this.#passing]) this.#pass(guest, now);
    if (!this.#renewal.due(now)) return;
    for (const guest of [...this.#guests.values()]) if (!guest.connection.side.renew()) this.#end(guest);
  }

  pollMessages(now: number): boolean {
    const shm = this.service.shm(0);
    return this.service.tcp(now, 0) || shm;
  }

  /** Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(): number {
    return this.service.park(this.#passing.size > 0);
  }

  /** Closes all connections: their clients are told. */
  close(): void {
    this.#closed = true;
    for (const guest of [...this.#guests.values()]) this.#close(guest);
    this.waker.close();
  }

  #guestOf(connection: Connection): Guest {
    return this.#byConnection.get(connection) as Guest;
  }

  #add(guest: Guest): void {
    this.#guests.set(guest.id, guest);
    this.#byConnection.set(guest.connection, guest);
    this.#polled.add(guest.connection, 0);
  }

  #remove(guest: Guest): void {
    if (this.#guests.delete(guest.id)) {
      this.#gone = sumOf(this.#gone, since(guest.before, guest.connection.side.tally));
    }
    this.#byConnection.delete(guest.connection);
    this.#polled.remove(guest.connection);
    this.#passing.delete(guest);
  }

  /** Ends the connection that an error is of: of a peer that wrote what it must not, or whose handler threw. */
  #blame(guest: Guest, error: unknown): void {
    const culprit = this.#polled.culprit(error);
    if (culprit === null) this.#fail(guest, error);
    else this.#end(this.#guestOf(culprit));
  }

  /** The link has ended: hands out what has come before, tells the handlers, and closes the session. */
  #end(guest: Guest): void {
    const { connection } = guest;
    if (!connection.side.attached) return;
    let told = false;
    try {
      connection.side.disconnect(
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

  /** A handler threw; one that has closed the connection before hears no more of it. */
  #fail(guest: Guest, thrown: unknown): void {
    const error = this.#report(guest, thrown);
    if (!this.#guests.has(guest.id)) return;
    this.#close(guest);
    this.#tell(guest, 'handler failed', error);
  }

  #pass(guest: Guest, now: number): void {
    const { id, connection } = guest;
    let error: TcpshmError | null = null;
    // It is closed here, which is not its end. And its socket is not to be listened to any more.
    this.#handing = guest;
    this.#polled.remove(connection);
    try {
      const handover = connection.side.handOver(now);
      if (handover === null) {
        this.#polled.add(connection, 0);
        return;
      }
      // Before the handler, which may be the end of this thread.
      this.#listener.passed(id, parcelOf(handover));
    } catch (cause) {
      error = this.#named('a connection could not be passed on', cause);
      this.#listener.left(id, false, error);
    } finally {
      this.#handing = null;
    }
    this.#remove(guest);
    this.#tell(guest, error === null ? 'moved' : 'journal failed', error);
  }

  #tell(guest: Guest, reason: DisconnectReason, error: TcpshmError | null): void {
    guest.connection.side.tellDisconnected(reason, error);
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
    if (guest === undefined || guest === this.#handing) return;
    this.#remove(guest);
    this.#listener.left(id, removed, null);
  }

  #named(what: string, error: unknown): TcpshmError {
    const { message } = error as Error;
    const code = error instanceof TcpshmError ? error.code : 'ERR_SYSTEM';
    return new TcpshmError(code, `group ${this.#group}: ${what}: ${message}`, error);
  }
}
