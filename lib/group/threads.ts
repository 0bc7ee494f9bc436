import type { Connection } from '../connection/connection.js';
import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import type { Inquiry } from '../login/loginHost.js';
import type { Transport } from '../session/loginMessages.js';
import { forsakeShared } from '../store/shared.js';
import { revivedOwn } from '../thread/plainError.js';
import { discard, type HostSettings, type Parcel, parcelOf } from './parcel.js';
import type { FromGroup } from './protocol.js';
import { type Entry, type GroupMember, Journey, Roster } from './roster.js';
import type { GroupThreadSettings } from './settings.js';
import { GroupThread } from './thread.js';
import type { GroupThreadStats } from './threadStats.js';

const STARTED = new Topic('tcpshm:group-started');
const DIED = new Topic('tcpshm:group-died');

/** Who is told what the threads tell. */
export interface GroupThreadsListener {
  failed(error: TcpshmError): void;
  /** The thread that had a session in memory has removed it. */
  removed(transport: Transport, client: string): void;
  /** Why a group has no room for a client; null where it has. */
  whyFull(wanted: GroupMember): string | null;
  /** Something was told: for who sleeps meanwhile. */
  stirred(): void;
}

/** Whether a client that logs in is still connected in some thread. */
interface Question {
  readonly number: number;
  readonly entry: Entry;
  /** The group whose thread was asked. */
  asked: number | null;
  answered: boolean;
}

/**
 * The threads of all groups, and who is in which: the server's side of `groups.worker`. Hands connections over after
 * their login, moves them, and finds out when their clients may log in again.
 */
export class GroupThreads {
  readonly #threads: readonly GroupThread[];
  readonly #listener: GroupThreadsListener;
  /** Who is connected, as far as is known here. */
  readonly roster = new Roster();
  /** Connections that have logged in and are still in this thread. */
  #departures: readonly { readonly connection: Connection; readonly entry: Entry }[] = [];
  readonly #questions = new Map<number, Question>();
  #serial = 0;
  #started: Promise<void> | null = null;
  /** Whether all were started, so that those that end are replaced. */
  #running = false;

  constructor(
    server: string,
    settings: GroupThreadSettings,
    host: HostSettings,
    listener: GroupThreadsListener,
  ) {
    const { module, cpus, resourceLimits } = settings;
    this.#listener = listener;
    this.#threads = cpus.map(
      (list, group) =>
        new GroupThread(
          { group, module, cpus: list, resourceLimits, host },
          {
            started: () => {
              if (STARTED.listened) STARTED.tell({ server, group });
            },
            heard: (message) => {
              this.#hear(message);
              listener.stirred();
            },
            ended: (error) => {
              if (DIED.listened) DIED.tell({ server, group, error });
              this.#ended(group, error);
              listener.stirred();
            },
          },
        ),
    );
  }

  /** As they have told last. */
  get stats(): readonly GroupThreadStats[] {
    return this.#threads.map((thread) => thread.stats);
  }

  /** Starts all, once. Rejects with ERR_WORKER when one cannot be started: then none is, and the next call tries again. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Whether something is under way that only polls see. */
  get restless(): boolean {
    return (
      this.#departures.length > 0 ||
      this.#questions.size > 0 ||
      (this.#running && this.#threads.some((thread) => !thread.up))
    );
  }

  /**
   * What a client waits for that logs in, to have its connection in a group: that the thread where it is connected has
   * looked whether it still is, and that the thread of the group is up. Null where there is nothing to wait for.
   */
  inquire(client: string, group: number): Inquiry | null {
    const entry = this.roster.find(client);
    const thread = this.#thread(group);
    if (entry === null && thread.up) return null;
    const question = entry === null ? null : this.#question(entry);
    const answered = (): boolean => question === null || this.#isAnswered(question);
    return {
      get settled() {
        return answered() && thread.up;
      },
    };
  }

  /** A login is complete: its connection is handed over by `depart`. */
  bring(connection: Connection, group: number): void {
    const { remoteName, transport } = connection;
    const entry = this.roster.add({ remoteName, transport, group });
    this.#departures = [...this.#departures, { connection, entry }];
  }

  /** Hands over who has logged in, as far as that can be now. */
  depart(now: number): void {
    if (this.#departures.length === 0) return;
    this.#departures = this.#departures.filter(
      ({ connection, entry }) => !this.#handOver(connection, entry, now),
    );
  }

  /** Hears what the threads have said, and replaces those that have ended. */
  poll(now: number): void {
    if (!this.#running) return;
    for (const thread of this.#threads) thread.poll(now);
  }

  /**
   * Moves a connection to another group. Rejects with ERR_NOT_CONNECTED when there is none of that name, or it ends
   * meanwhile, ERR_GROUP_FULL, and ERR_WORKER when the thread of one of the groups ends.
   */
  async move(client: string, group: number): Promise<void> {
    let entry = this.roster.find(client);
    while (entry?.journey) {
      await entry.journey.over;
      entry = this.roster.find(client);
    }
    if (entry === null) throw notConnected(client);
    if (entry.group === group) return;
    const full = this.#listener.whyFull({ ...entry, group });
    if (full !== null) throw new TcpshmError('ERR_GROUP_FULL', `'${client}' cannot be moved: ${full}`);
    if (!this.#thread(group).up) throw threadless(client, group);
    const journey = new Journey();
    entry.journey = journey;
    entry.target = group;
    this.#thread(entry.group).post({ kind: 'pass', id: entry.id });
    const error = await journey.over;
    if (error !== null) throw error;
  }

  /** Lets all threads end, their connections closed. */
  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    for (const entry of [...this.roster]) this.#drop(entry, notConnected(entry.remoteName));
  }

  async #start(): Promise<void> {
    const starts = await Promise.allSettled(this.#threads.map((thread) => thread.start()));
    const failed = starts.find((start) => start.status === 'rejected');
    this.#running = failed === undefined;
    if (failed === undefined) return;
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    this.#started = null;
    throw failed.reason;
  }

  #thread(group: number): GroupThread {
    return this.#threads[group] as GroupThread;
  }

  #question(entry: Entry): Question {
    return { number: this.#serial++, entry, asked: null, answered: false };
  }

  /** Asks, once its connection has left this thread. */
  #isAnswered(question: Question): boolean {
    const { number, entry } = question;
    if (this.roster.get(entry.id) === null) this.#answered(question);
    else if (question.asked === null && entry.sent) {
      question.asked = entry.group;
      this.#questions.set(number, question);
      this.#thread(entry.group).post({ kind: 'ask', id: entry.id, question: number });
    }
    return question.answered;
  }

  #answered(question: Question): void {
    question.answered = true;
    this.#questions.delete(question.number);
  }

  /** True once the connection is not in this thread any more. */
  #handOver(connection: Connection, entry: Entry, now: number): boolean {
    if (connection.state === 'closed') {
      this.#drop(entry, notConnected(entry.remoteName));
      return true;
    }
    try {
      if (!this.#thread(entry.group).up) throw threadless(entry.remoteName, entry.group);
      const handover = connection.side.handOver(now);
      if (handover !== null) {
        this.#send(entry, parcelOf(handover));
        return true;
      }
      // Else its session is on its way to a fresh file.
      if (connection.side.ends.fence === null) return false;
      throw connection.side.ends.fence;
    } catch (error) {
      this.#lose(entry, error);
    }
    try {
      connection.close();
    } catch (error) {
      this.#listener.failed(asOurs(error));
    }
    return true;
  }

  #send(entry: Entry, parcel: Parcel): void {
    const { place } = parcel.handover;
    entry.sent = true;
    entry.parcel = parcel;
    entry.memory = 'memory' in place ? place.memory : null;
    this.#thread(entry.group).post({ kind: 'take', id: entry.id, parcel });
  }

  #hear(message: FromGroup): void {
    if (message.kind === 'error') this.#listener.failed(revivedOwn(message.error));
    else if (message.kind === 'answer') {
      const question = this.#questions.get(message.question);
      if (question !== undefined) this.#answered(question);
    } else if ('id' in message) {
      const entry = this.roster.get(message.id);
      if (entry !== null) this.#follow(entry, message);
    }
  }

  #follow(entry: Entry, message: Extract<FromGroup, { readonly id: number }>): void {
    if (message.kind === 'taken') {
      entry.parcel = null;
      entry.journey?.end(null);
      entry.journey = null;
    } else if (message.kind === 'passed') {
      this.#forward(entry, message.parcel);
    } else {
      if (message.removed) this.#listener.removed(entry.transport, entry.remoteName);
      if (message.error !== null) this.#lose(entry, revivedOwn(message.error));
      else this.#drop(entry, notConnected(entry.remoteName));
    }
  }

  /** A connection has left its group: hands it on to the next. */
  #forward(entry: Entry, parcel: Parcel): void {
    entry.group = entry.target ?? entry.group;
    entry.target = null;
    if (this.#thread(entry.group).up) {
      this.#send(entry, parcel);
      return;
    }
    entry.parcel = parcel;
    this.#lose(entry, threadless(entry.remoteName, entry.group));
  }

  #ended(group: number, error: TcpshmError): void {
    for (const entry of [...this.roster]) {
      if (entry.sent && entry.group === group) this.#drop(entry, error);
    }
    for (const question of [...this.#questions.values()]) {
      if (question.asked === group) this.#answered(question);
    }
    this.#listener.failed(error);
  }

  /** A connection has ended for an error. */
  #lose(entry: Entry, error: unknown): void {
    const ours = asOurs(error);
    this.#drop(entry, ours);
    this.#listener.failed(ours);
  }

  /** A connection is nobody's any more: what it has on its way is given up. */
  #drop(entry: Entry, error: TcpshmError): void {
    if (!this.roster.remove(entry)) return;
    if (entry.parcel !== null) discard(entry.parcel);
    else if (entry.memory !== null) forsakeShared(entry.memory, 'server');
    entry.journey?.end(error);
  }
}

function notConnected(client: string): TcpshmError {
  return new TcpshmError('ERR_NOT_CONNECTED', `the client '${client}' is not connected, or not any more`);
}

function threadless(client: string, group: number): TcpshmError {
  return new TcpshmError(
    'ERR_WORKER',
    `the thread of group ${group} has ended, and is being replaced: '${client}' cannot be handed to it now`,
  );
}

function asOurs(error: unknown): TcpshmError {
  if (error instanceof TcpshmError) return error;
  return new TcpshmError('ERR_SYSTEM', (error as Error).message, error);
}
