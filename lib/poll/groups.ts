import type { ResourceLimits } from 'node:worker_threads';
import type { Connection } from '../connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, count } from '../options.js';

/** Groups that connections are polled in, and how many may be connected in each. */
export interface GroupOptions {
  /** Default 1. */
  readonly count?: number;
  /** Over shared memory (processes and threads), in each group. Default 1024. */
  readonly shmConnections?: number;
  /** Over tcp, in each group. Default 1024. */
  readonly tcpConnections?: number;
  /**
   * A module of handlers ({@link GroupModule}), as a URL or an absolute path: each group has a thread of its own then, in
   * which the module is loaded and its connections live. Without it, all groups are polled by the server's thread.
   */
  readonly worker?: URL | string;
  /** With `worker`: the processors that the thread of each group is pinned to, one or a list for each group. */
  readonly cpus?: readonly (number | readonly number[])[];
  /** With `worker`: limits of memory of each thread, as `new Worker` takes them. */
  readonly resourceLimits?: ResourceLimits;
}

/** What a group polls together: the queues of shared memory, or sockets. */
export type GroupKind = 'shm' | 'tcp';

/** A connection that is polled, and in which group. */
export interface Member {
  readonly connection: Connection;
  readonly group: number;
}

/** Who is connected, by group. The lists are replaced on every change, so that a poll can go on over an old one. */
export class Groups {
  readonly count: number;
  readonly limits: Readonly<Record<GroupKind, number>>;
  #members: readonly Member[] = [];
  readonly #lists: Record<GroupKind, (readonly Connection[])[]>;

  /** Throws ERR_OPTION. */
  constructor(options: GroupOptions) {
    checkOptions(options);
    this.count = count(options.count, 'groups.count', 1);
    this.limits = {
      shm: count(options.shmConnections, 'groups.shmConnections', 1024, 0),
      tcp: count(options.tcpConnections, 'groups.tcpConnections', 1024, 0),
    };
    this.#lists = { shm: Array(this.count).fill([]), tcp: Array(this.count).fill([]) };
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** The connections of one kind in one group. Throws ERR_OPTION when there is no such group. */
  of(kind: GroupKind, group: number): readonly Connection[] {
    const list = Number.isInteger(group) ? this.#lists[kind][group] : undefined;
    if (list !== undefined) return list;
    throw new TcpshmError('ERR_OPTION', `group must be from 0 to ${this.count - 1}, got ${String(group)}`);
  }

  find(connection: Connection): Member | undefined {
    return this.#members.find((member) => member.connection === connection);
  }

  add(member: Member): void {
    this.#set([...this.#members, member]);
  }

  /** A connection that is polled with another group from here on. Throws ERR_OPTION when there is no such group. */
  move(connection: Connection, group: number): void {
    this.of(kindOf(connection), group);
    this.#set(
      this.#members.map((member) => (member.connection === connection ? { connection, group } : member)),
    );
  }

  remove(connection: Connection): void {
    this.#set(this.#members.filter((member) => member.connection !== connection));
  }

  #set(members: readonly Member[]): void {
    this.#members = members;
    for (const kind of ['shm', 'tcp'] as const) {
      this.#lists[kind] = this.#lists[kind].map((_, group) =>
        members
          .filter((member) => member.group === group && kindOf(member.connection) === kind)
          .map((member) => member.connection),
      );
    }
  }
}

export function kindOf(connection: Pick<Connection, 'transport'>): GroupKind {
  return connection.transport === 'tcp' ? 'tcp' : 'shm';
}
