import type { ResourceLimits } from 'node:worker_threads';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, count } from '../options.js';
import { type GroupKind, kindOf, Polled, type Rest } from './polled.js';
import type { Waker } from './waker.js';

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

/** So many connections are polled by looking at each of them, which is faster than to ask who has something. */
const FEW = 16;
/** So few that, after a sleep, visiting all takes less than two system calls, which would tell whom to visit. */
const ROUSED = 4;
/** Visits in which nothing moved, after which one of many becomes cold. */
const COOL_AFTER = 256;
/** The same for one that was stirred and in which nothing has moved since: by a heartbeat. */
const COOL_AGAIN_AFTER = 4;
/** Visits between two looks at the kernel wait, which is a system call. */
const VISITS_PER_TAKE = 512;

/** The connections of one kind in one group: those that a poll visits, in the order in which they became hot. */
class Rota {
  readonly all = new Set<Polled>();
  #hot: (Polled | null)[] = [];
  #holes = 0;
  #visits = 0;

  get hot(): number {
    return this.#hot.length - this.#holes;
  }

  heat(polled: Polled): void {
    polled.idle = COOL_AFTER - COOL_AGAIN_AFTER;
    this.#hot.push(polled);
  }

  drop(polled: Polled): void {
    const at = this.#hot.indexOf(polled);
    if (at < 0) return;
    this.#hot[at] = null;
    this.#holes++;
  }

  /** Visits each polled that is hot now and stays so. True if something moved anywhere. */
  visit(visit: (polled: Polled) => boolean, delivers: boolean): boolean {
    let any = false;
    const many = this.all.size > FEW;
    this.#visits++;
    const { length } = this.#hot;
    for (let i = 0; i < length; i++) {
      const polled = this.#hot[i] ?? null;
      if (polled === null) continue;
      if (visit(polled)) {
        polled.idle = 0;
        any = true;
      } else if (++polled.idle > COOL_AFTER && many && this.#hot[i] === polled) {
        polled.idle = 0;
        if (polled.cool(delivers) === 'cold') this.#empty(i);
      }
    }
    this.#visits--;
    this.#close();
    return any;
  }

  /** Looks at each that is hot, which is no visit: it does not matter whether something moves. */
  look(look: (polled: Polled) => void): void {
    this.#visits++;
    for (let i = 0, { length } = this.#hot; i < length; i++) {
      const polled = this.#hot[i] ?? null;
      if (polled !== null) look(polled);
    }
    this.#visits--;
    this.#close();
  }

  /** Cools all, and gives what keeps those awake that stay hot. */
  settle(delivers: boolean): Rest {
    let rest: Rest = 'cold';
    for (let i = 0; i < this.#hot.length; i++) {
      const polled = this.#hot[i] ?? null;
      if (polled === null) continue;
      const its = polled.cool(delivers);
      if (its === 'cold') this.#empty(i);
      else if (rest !== 'stirring') rest = its;
    }
    this.#close();
    return rest;
  }

  /** Closes the holes, unless a visit is under way, in which a handler polls. */
  #close(): void {
    if (this.#holes === 0 || this.#visits > 0) return;
    this.#hot = this.#hot.filter((polled) => polled !== null);
    this.#holes = 0;
  }

  #empty(at: number): void {
    this.#hot[at] = null;
    this.#holes++;
  }
}

/** Who is connected, by group, and who of them is polled. */
export class PolledSet {
  readonly count: number;
  readonly limits: Readonly<Record<GroupKind, number>>;
  readonly #waker: Waker;
  readonly #delivers: boolean;
  readonly #rotas: Record<GroupKind, Rota[]>;
  readonly #all: readonly Rota[];
  readonly #polled = new Map<Connection, Polled>();
  #visits = 0;
  #sweep: IterableIterator<Polled> | null = null;
  #sweptAt = Number.NaN;

  /** `delivers` tells whether messages are handed to somebody. Throws ERR_OPTION. */
  constructor(options: GroupOptions, waker: Waker, delivers: boolean) {
    checkOptions(options);
    this.#delivers = delivers;
    this.#waker = waker;
    this.count = count(options.count, 'groups.count', 1);
    this.limits = {
      shm: count(options.shmConnections, 'groups.shmConnections', 1024, 0),
      tcp: count(options.tcpConnections, 'groups.tcpConnections', 1024, 0),
    };
    const rotas = (): Rota[] => Array.from({ length: this.count }, () => new Rota());
    this.#rotas = { shm: rotas(), tcp: rotas() };
    this.#all = [...this.#rotas.shm, ...this.#rotas.tcp];
  }

  get size(): number {
    return this.#polled.size;
  }

  [Symbol.iterator](): IterableIterator<Polled> {
    return this.#polled.values();
  }

  /** Whose peer has done what was thrown: null when it is no peer's fault. */
  culprit(thrown: unknown): Connection | null {
    if (!(thrown instanceof TcpshmError)) return null;
    for (const { connection } of this) if (connection.side.ends.isTold(thrown)) return connection;
    return null;
  }

  find(connection: Connection): Polled | undefined {
    return this.#polled.get(connection);
  }

  /** How many there are of one kind in one group. Throws ERR_OPTION when there is no such group. */
  sizeOf(kind: GroupKind, group: number): number {
    return this.#rota(kind, group).all.size;
  }

  add(connection: Connection, group: number): void {
    const rota = this.#rota(kindOf(connection), group);
    const polled = new Polled(connection, group, this.#waker, (heated) => rota.heat(heated));
    this.#polled.set(connection, polled);
    rota.all.add(polled);
    rota.heat(polled);
  }

  remove(connection: Connection): void {
    const polled = this.#polled.get(connection);
    if (polled === undefined) return;
    this.#polled.delete(connection);
    const rota = this.#rota(polled.kind, polled.group);
    rota.all.delete(polled);
    rota.drop(polled);
    polled.leave();
  }

  /** It is polled with another group from here on. Throws ERR_OPTION when there is no such group. */
  move(connection: Connection, group: number): void {
    this.#rota(kindOf(connection), group);
    this.remove(connection);
    this.add(connection, group);
  }

  /** Visits those of one kind in one group that are hot, each once. True if something moved. */
  visit(kind: GroupKind, group: number, visit: (polled: Polled) => boolean): boolean {
    const rota = this.#rota(kind, group);
    this.#visits += rota.hot + 1;
    if (this.#visits >= VISITS_PER_TAKE || (rota.hot === 0 && this.#cold)) {
      this.#visits = 0;
      this.#waker.take();
    }
    return rota.visit(visit, this.#delivers);
  }

  /** Looks at all of one kind that are hot. */
  look(kind: GroupKind, look: (polled: Polled) => void): void {
    for (const rota of this.#rotas[kind]) rota.look(look);
  }

  /**
   * Calls `look` for as many of the cold ones as are due, so that each has its turn once in `periodMs`: for what no bell
   * and no socket tells of, heartbeats and silence.
   */
  sweep(now: number, periodMs: number, look: (polled: Polled) => void): void {
    if (Number.isNaN(this.#sweptAt)) this.#sweptAt = now;
    const share = (now - this.#sweptAt) / periodMs;
    let due = Math.min(this.#polled.size, Math.floor(share * this.#polled.size));
    if (due === 0) return;
    this.#sweptAt = now;
    for (; due > 0; due--) {
      this.#sweep ??= this.#polled.values();
      const next = this.#sweep.next();
      if (next.done === true) this.#sweep = null;
      else if (!next.value.hot) look(next.value);
    }
  }

  /** Has all visited, where there are few. False where there are many. */
  rouse(): boolean {
    if (this.#polled.size > ROUSED) return false;
    for (const polled of this.#polled.values()) polled.stir();
    return true;
  }

  /** Whether there are some and none of them is hot, so that a look at the kernel wait delays nobody. */
  get #cold(): boolean {
    if (this.#polled.size === 0) return false;
    for (const rota of this.#all) if (rota.hot > 0) return false;
    return true;
  }

  /** Lets all become cold, and gives what keeps those awake that stay hot. */
  settle(): Rest {
    const rests = this.#all.map((rota) => rota.settle(this.#delivers));
    return rests.find((rest) => rest === 'stirring') ?? rests.find((rest) => rest === 'restless') ?? 'cold';
  }

  #rota(kind: GroupKind, group: number): Rota {
    const rota = Number.isInteger(group) ? this.#rotas[kind][group] : undefined;
    if (rota !== undefined) return rota;
    throw new TcpshmError('ERR_OPTION', `group must be from 0 to ${this.count - 1}, got ${String(group)}`);
  }
}
