import type { Connection } from '../connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, count } from '../options.js';
import { type GroupKind, kindOf, Member, type Rest } from './member.js';
import type { Waker } from './waker.js';

/** Groups that connections are polled in, and how many may be connected in each. */
export interface GroupOptions {
  /** Default 1. */
  readonly count?: number;
  /** Over shared memory (processes and threads), in each group. Default 1024. */
  readonly shmConnections?: number;
  /** Over tcp, in each group. Default 1024. */
  readonly tcpConnections?: number;
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
  readonly members = new Set<Member>();
  #hot: (Member | null)[] = [];
  #holes = 0;
  #visits = 0;

  get hot(): number {
    return this.#hot.length - this.#holes;
  }

  heat(member: Member): void {
    member.idle = COOL_AFTER - COOL_AGAIN_AFTER;
    this.#hot.push(member);
  }

  drop(member: Member): void {
    const at = this.#hot.indexOf(member);
    if (at < 0) return;
    this.#hot[at] = null;
    this.#holes++;
  }

  /** Visits each member that is hot now and stays so. True if something moved anywhere. */
  visit(visit: (member: Member) => boolean, delivers: boolean): boolean {
    let any = false;
    const many = this.members.size > FEW;
    this.#visits++;
    const { length } = this.#hot;
    for (let i = 0; i < length; i++) {
      const member = this.#hot[i] ?? null;
      if (member === null) continue;
      if (visit(member)) {
        member.idle = 0;
        any = true;
      } else if (++member.idle > COOL_AFTER && many && this.#hot[i] === member) {
        member.idle = 0;
        if (member.cool(delivers) === 'cold') this.#empty(i);
      }
    }
    this.#visits--;
    this.#close();
    return any;
  }

  /** Looks at each that is hot, which is no visit: it does not matter whether something moves. */
  look(look: (member: Member) => void): void {
    this.#visits++;
    for (let i = 0, { length } = this.#hot; i < length; i++) {
      const member = this.#hot[i] ?? null;
      if (member !== null) look(member);
    }
    this.#visits--;
    this.#close();
  }

  /** Cools all, and gives what keeps those awake that stay hot. */
  settle(delivers: boolean): Rest {
    let rest: Rest = 'cold';
    for (let i = 0; i < this.#hot.length; i++) {
      const member = this.#hot[i] ?? null;
      if (member === null) continue;
      const its = member.cool(delivers);
      if (its === 'cold') this.#empty(i);
      else if (rest !== 'stirring') rest = its;
    }
    this.#close();
    return rest;
  }

  /** Closes the holes, unless a visit is under way, in which a handler polls. */
  #close(): void {
    if (this.#holes === 0 || this.#visits > 0) return;
    this.#hot = this.#hot.filter((member) => member !== null);
    this.#holes = 0;
  }

  #empty(at: number): void {
    this.#hot[at] = null;
    this.#holes++;
  }
}

/** Who is connected, by group, and who of them is polled. */
export class Members {
  readonly count: number;
  readonly limits: Readonly<Record<GroupKind, number>>;
  readonly #waker: Waker;
  readonly #delivers: boolean;
  readonly #rotas: Record<GroupKind, Rota[]>;
  readonly #members = new Map<Connection, Member>();
  #visits = 0;
  #sweep: IterableIterator<Member> | null = null;
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
  }

  get size(): number {
    return this.#members.size;
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#members.values();
  }

  find(connection: Connection): Member | undefined {
    return this.#members.get(connection);
  }

  /** How many there are of one kind in one group. Throws ERR_OPTION when there is no such group. */
  sizeOf(kind: GroupKind, group: number): number {
    return this.#rota(kind, group).members.size;
  }

  add(connection: Connection, group: number): void {
    const rota = this.#rota(kindOf(connection), group);
    const member = new Member(connection, group, this.#waker, (heated) => rota.heat(heated));
    this.#members.set(connection, member);
    rota.members.add(member);
    rota.heat(member);
  }

  remove(connection: Connection): void {
    const member = this.#members.get(connection);
    if (member === undefined) return;
    this.#members.delete(connection);
    const rota = this.#rota(member.kind, member.group);
    rota.members.delete(member);
    rota.drop(member);
    member.leave();
  }

  /** Visits those of one kind in one group that are hot, each once. True if something moved. */
  visit(kind: GroupKind, group: number, visit: (member: Member) => boolean): boolean {
    const rota = this.#rota(kind, group);
    this.#visits += rota.hot + 1;
    if (this.#visits >= VISITS_PER_TAKE) {
      this.#visits = 0;
      this.#waker.take();
    }
    return rota.visit(visit, this.#delivers);
  }

  /** Looks at all of one kind that are hot. */
  look(kind: GroupKind, look: (member: Member) => void): void {
    for (const rota of this.#rotas[kind]) rota.look(look);
  }

  /**
   * Calls `look` for as many of the cold ones as are due, so that each has its turn once in `periodMs`: for what no bell
   * and no socket tells of, heartbeats and silence.
   */
  sweep(now: number, periodMs: number, look: (member: Member) => void): void {
    if (Number.isNaN(this.#sweptAt)) this.#sweptAt = now;
    const share = (now - this.#sweptAt) / periodMs;
    let due = Math.min(this.#members.size, Math.floor(share * this.#members.size));
    if (due === 0) return;
    this.#sweptAt = now;
    for (; due > 0; due--) {
      this.#sweep ??= this.#members.values();
      const next = this.#sweep.next();
      if (next.done === true) this.#sweep = null;
      else if (!next.value.hot) look(next.value);
    }
  }

  /** Has all visited, where there are few. False where there are many. */
  rouse(): boolean {
    if (this.#members.size > ROUSED) return false;
    for (const member of this.#members.values()) member.stir();
    return true;
  }

  /** Lets all become cold, and gives what keeps those awake that stay hot. */
  settle(): Rest {
    const rests = [...this.#rotas.shm, ...this.#rotas.tcp].map((rota) => rota.settle(this.#delivers));
    return rests.find((rest) => rest === 'stirring') ?? rests.find((rest) => rest === 'restless') ?? 'cold';
  }

  #rota(kind: GroupKind, group: number): Rota {
    const rota = Number.isInteger(group) ? this.#rotas[kind][group] : undefined;
    if (rota !== undefined) return rota;
    throw new TcpshmError('ERR_OPTION', `group must be from 0 to ${this.count - 1}, got ${String(group)}`);
  }
}
