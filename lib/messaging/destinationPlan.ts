import { type ErrorCode, TcpshmError } from '../errors.js';
import { type BackoffSettings, mayPass } from '../session/backoff.js';
import { Attempts } from './destinationAttempts.js';
import { type Lane, Lanes } from './destinationLanes.js';
import { ConnectionNumbers } from './destinationNumbers.js';
import { type DeliveryMode, type Ticket, TicketQueue } from './destinationQueue.js';

/** Limits of a pool. Times are in milliseconds of the clock that the plan is given. */
export interface PlanLimits {
  /** So many connections stay while nothing is to be sent. */
  readonly minConnections: number;
  readonly maxConnections: number;
  /** Connections that are being made at a time. */
  readonly maxPending: number;
  /** Messages that are in flight on a connection, before another one is made for those that wait. */
  readonly maxInFlight: number;
  /** Messages that wait for a connection. */
  readonly maxQueue: number;
  /** A connection above `minConnections` that has had nothing to do for so long is closed. */
  readonly idleMs: number;
  /** For so long a session whose link has ended waits for its server, before other servers get its messages. */
  readonly resumeMs: number;
  /** Addresses older than that are resolved again when a connection is made. */
  readonly resolveMs: number;
  /** Whether connections go to different addresses, or to the one that the main one has. */
  readonly spread: boolean;
  readonly backoff: BackoffSettings;
}

/** What is to be done. */
export type Decision<T> =
  | { readonly kind: 'resolve' }
  | { readonly kind: 'connect'; readonly lane: Lane<T> }
  /** Log in again, to the same server and session. */
  | { readonly kind: 'resume'; readonly lane: Lane<T> }
  | { readonly kind: 'send'; readonly lane: Lane<T>; readonly ticket: Ticket<T> }
  /** Not a byte of it has left: it is taken back from its connection. */
  | { readonly kind: 'recall'; readonly lane: Lane<T>; readonly ticket: Ticket<T> }
  | { readonly kind: 'fail'; readonly ticket: Ticket<T>; readonly error: TcpshmError }
  /** `remove`: its session has what must never be sent from here on, so it is removed; else it is kept, to be used again. */
  | { readonly kind: 'retire'; readonly lane: Lane<T>; readonly remove: boolean }
  | { readonly kind: 'closed' };

/** So many numbers that are refused in a row are no failure of the address. */
const NUMBERS_AT_ONCE = 16;

/**
 * Decides for a pool of connections to one destination: how many there are and where, what goes over which, and what
 * becomes of messages when one ends. Has no I/O, clock or random source of its own: it is told what happened, and asked
 * what to do with `next` until that is null.
 */
export class DestinationPlan<T> {
  readonly #limits: PlanLimits;
  readonly #attempts: Attempts;
  readonly #numbers = new ConnectionNumbers();
  readonly #lanes = new Lanes<T>();
  readonly #queue = new TicketQueue<T>();
  /** One-shots that were given since the last decision. */
  #oneShots: Ticket<T>[] = [];
  /** The synchronous message that is under way. */
  #synchronous: Ticket<T> | null = null;
  readonly #decided: Decision<T>[] = [];
  #order = 0;
  #numbersRefused = 0;
  #state: 'open' | 'draining' | 'closed' = 'open';

  /** `random` gives numbers from 0 to below 1. */
  constructor(limits: PlanLimits, random: () => number) {
    this.#limits = limits;
    this.#attempts = new Attempts(limits.backoff, limits.resolveMs, random);
  }

  get lanes(): Iterable<Lane<T>> {
    return this.#lanes;
  }

  get main(): Lane<T> | null {
    return this.#lanes.main;
  }

  /** Messages that wait for a connection. */
  get queued(): number {
    return this.#queue.size;
  }

  get state(): 'open' | 'draining' | 'closed' {
    return this.#state;
  }

  // What has happened to messages.

  /** A message is to be sent. Throws ERR_CLOSED, ERR_QUEUE_FULL. */
  submit(item: T, mode: DeliveryMode): Ticket<T> {
    if (this.#state !== 'open') throw closed();
    const { maxQueue } = this.#limits;
    if (this.#queue.size >= maxQueue && !mode.oneShot) {
      throw new TcpshmError(
        'ERR_QUEUE_FULL',
        `the destination has its ${maxQueue} messages that wait already`,
      );
    }
    this.#attempts.encourage();
    const ticket: Ticket<T> = { item, mode, order: this.#order++, state: 'queued', left: false };
    this.#queue.add(ticket);
    if (mode.oneShot) this.#oneShots.push(ticket);
    return ticket;
  }

  /** It has come to its end: answered, cancelled, or failed for a reason that no other connection would mend. */
  settled(ticket: Ticket<T>, now: number): void {
    if (ticket.state === 'queued') this.#queue.remove(ticket);
    else if (ticket.state === 'in flight') this.#takeFrom(ticket, now);
    ticket.state = 'settled';
  }

  /**
   * Its connection cannot tell what became of it (the server has lost what it had of it, say), or has given it back, as
   * `left` tells.
   */
  returned(ticket: Ticket<T>, now: number): void {
    if (ticket.state !== 'in flight') return;
    this.#takeFrom(ticket, now);
    this.#again(ticket);
  }

  // What has happened to connections.

  resolved(addresses: readonly string[], now: number): void {
    if (addresses.length === 0) {
      this.unresolved(new TcpshmError('ERR_CONNECT', 'the destination has no addresses'), now);
      return;
    }
    this.#attempts.resolved(addresses, now);
    this.#numbers.keepOnly(addresses);
  }

  unresolved(error: TcpshmError, now: number): void {
    this.#attempts.unresolved(error, now);
    this.#giveUp(now);
  }

  /** The attempt to connect or to resume has led to a login. */
  connected(lane: Lane<T>, now: number): void {
    if (lane.state !== 'pending' && lane.state !== 'resuming') return;
    lane.state = 'active';
    lane.since = now;
    lane.failures = 0;
    lane.attempts = this.#attempts.failures;
    this.#attempts.succeeded(now);
    this.#numbersRefused = 0;
    this.#chooseMain();
  }

  /** The attempt to connect or to resume has failed. */
  refused(lane: Lane<T>, error: TcpshmError, now: number): void {
    const { code } = error;
    if (lane.state === 'resuming') {
      if (!mayPass(code)) {
        this.#giveUpOn(lane, now);
        return;
      }
      lane.state = 'lost';
      lane.dueAt = now + this.#attempts.delayMs(++lane.failures + 1);
      return;
    }
    if (lane.state !== 'pending') return;
    this.#drop(lane);
    if (code === 'ERR_ALREADY_CONNECTED' || code === 'ERR_SEQUENCE_MISMATCH') {
      const why = code === 'ERR_ALREADY_CONNECTED' ? 'in use' : 'cannot go on';
      this.#numbers.refuse(lane.address, lane.number, why, now);
      if (++this.#numbersRefused % NUMBERS_AT_ONCE !== 0) return;
    }
    this.#attempts.failed(error, this.#attempts.failures + 1, now);
    this.#giveUp(now);
  }

  /**
   * The link of a connection has ended. Its session goes on when the server comes back, with whatever has left, so that is
   * waited for; what has not begun to leave need not wait. (What has left is to be told before.)
   */
  ended(lane: Lane<T>, now: number): void {
    if (lane.state !== 'active') return;
    for (const ticket of [...lane.inFlight]) {
      if (ticket.left) continue;
      this.#decided.push({ kind: 'recall', lane, ticket });
      this.#takeFrom(ticket, now);
      this.#again(ticket);
    }
    if (lane.inFlight.size > 0) {
      lane.state = 'lost';
      lane.since = now;
      lane.dueAt = now + this.#attempts.delayMs(1);
    } else {
      this.#retire(lane, false);
      this.#attempts.failed(null, Math.max(this.#attempts.failures, lane.attempts + 1), now);
    }
    this.#chooseMain();
  }

  /** Its session cannot go on: it is closed, or another process's. */
  broken(lane: Lane<T>, now: number): void {
    if (lane.state !== 'gone') this.#giveUpOn(lane, now);
  }

  /**
   * Takes no messages any more. Those that there are are still sent and answered, and then the connections closed; with
   * `force` all fail now.
   */
  close(force: boolean, now: number): void {
    if (this.#state === 'closed') return;
    this.#state = 'draining';
    if (!force) return;
    for (const lane of this.#lanes) {
      const tickets = [...lane.inFlight];
      // Whose promise has failed must not be run when the session is used again.
      this.#retire(lane, isLost(lane) || tickets.some(({ left }) => left));
      for (const ticket of tickets) this.#fail(ticket, closed(), now);
    }
    for (const ticket of this.#queue) this.#fail(ticket, closed(), now);
  }

  // What is to be done.

  /** What is to be done next, or null until something happens or `restMs` has passed. */
  next(now: number): Decision<T> | null {
    while (this.#state !== 'closed') {
      if (this.#decided.length === 0) this.#decide(now);
      const decision = this.#decided.shift();
      if (decision === undefined) return null;
      if (decision.kind === 'closed') this.#state = 'closed';
      return decision;
    }
    return null;
  }

  /** For how many milliseconds there is nothing to do, if nothing happens. */
  restMs(now: number): number {
    if (this.#state === 'closed') return Number.POSITIVE_INFINITY;
    let dueAt = this.#wantsMore ? this.#attempts.dueAt : Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes) {
      if (isLost(lane)) dueAt = Math.min(dueAt, lane.since + this.#limits.resumeMs);
      if (lane.state === 'lost') dueAt = Math.min(dueAt, lane.dueAt);
      if (this.#isSpare(lane)) dueAt = Math.min(dueAt, lane.since + this.#limits.idleMs);
    }
    return Math.max(0, dueAt - now);
  }

  #decide(now: number): void {
    this.#tend(now);
    if (this.#decided.length > 0) return;
    const due = this.#dispatch() ?? this.#grow(now);
    if (due !== null) this.#decided.push(due);
    else if (this.#oneShots.length > 0) this.#failOneShots();
    else if (!this.#finish()) this.#shrink(now);
  }

  /** Sessions that wait for their servers. */
  #tend(now: number): void {
    for (const lane of this.#lanes) {
      if (!isLost(lane)) continue;
      if (now - lane.since >= this.#limits.resumeMs) this.#giveUpOn(lane, now);
      else if (lane.state === 'lost' && now >= lane.dueAt) {
        lane.state = 'resuming';
        this.#decided.push({ kind: 'resume', lane });
      }
    }
  }

  #dispatch(): Decision<T> | null {
    const first = this.#queue.firstSynchronous;
    const { main } = this.#lanes;
    if (first !== null && this.#synchronous === null && main?.state === 'active') {
      this.#synchronous = first;
      return this.#send(main, first);
    }
    const plain = this.#queue.firstPlain;
    const lane = plain === null ? null : this.#lanes.leastBusy(this.#limits.maxInFlight);
    return lane === null || plain === null ? null : this.#send(lane, plain);
  }

  #send(lane: Lane<T>, ticket: Ticket<T>): Decision<T> {
    this.#queue.remove(ticket);
    ticket.state = 'in flight';
    ticket.left = false;
    lane.inFlight.add(ticket);
    return { kind: 'send', lane, ticket };
  }

  #failOneShots(): void {
    for (const ticket of this.#oneShots.splice(0)) {
      if (ticket.state !== 'queued') continue;
      this.#queue.remove(ticket);
      this.#end(ticket, 'ERR_NOT_SENT', 'no connection to the destination could take a one-shot at once');
    }
  }

  #grow(now: number): Decision<T> | null {
    if (!this.#wantsMore) return null;
    if (this.#attempts.takeResolve(now)) return { kind: 'resolve' };
    const { main } = this.#lanes;
    const preferred = this.#limits.spread || main?.state !== 'active' ? null : main.address;
    const address = this.#attempts.address(preferred, (at) => this.#lanes.countAt(at), now);
    if (address === null) return null;
    return { kind: 'connect', lane: this.#lanes.add(this.#numbers.take(address, now), address, now) };
  }

  #shrink(now: number): void {
    const { idleMs } = this.#limits;
    const spare = [...this.#lanes].filter((lane) => this.#isSpare(lane) && now - lane.since >= idleMs);
    // The highest number first, so that those which are used stay few; the main one last.
    spare.sort((a, b) => Number(a === this.main) - Number(b === this.main) || b.number - a.number);
    if (spare[0] !== undefined) this.#retire(spare[0], false);
  }

  #finish(): boolean {
    if (this.#state !== 'draining' || this.#queue.size > 0) return false;
    for (const lane of this.#lanes) if (lane.inFlight.size > 0) return false;
    // What a lost one still has in its session was cancelled.
    for (const lane of this.#lanes) this.#retire(lane, isLost(lane));
    this.#decided.push({ kind: 'closed' });
    return true;
  }

  /** How many connections what there is to send is worth. */
  get #wanted(): number {
    const { minConnections, maxConnections, maxInFlight } = this.#limits;
    // Of the synchronous ones only one can be under way.
    const synchronous = this.#synchronous === null && this.#queue.firstSynchronous !== null;
    const waiting = this.#queue.plain + (synchronous ? 1 : 0);
    const least = this.#state === 'open' ? minConnections : 0;
    return Math.min(
      maxConnections,
      Math.max(least, Math.ceil((waiting + this.#lanes.inFlight) / maxInFlight)),
    );
  }

  get #wantsMore(): boolean {
    const pending = this.#lanes.count('pending');
    if (pending >= this.#limits.maxPending || this.#lanes.size >= this.#limits.maxConnections) return false;
    return this.#lanes.count('active') + pending < this.#wanted;
  }

  #isSpare(lane: Lane<T>): boolean {
    return lane.state === 'active' && lane.inFlight.size === 0 && this.#lanes.count('active') > this.#wanted;
  }

  #chooseMain(): void {
    this.#lanes.chooseMain(this.#synchronous !== null);
  }

  #giveUpOn(lane: Lane<T>, now: number): void {
    const tickets = [...lane.inFlight];
    this.#retire(lane, lane.state !== 'pending');
    for (const ticket of tickets) {
      this.#takeFrom(ticket, now);
      this.#again(ticket);
    }
    this.#chooseMain();
  }

  #retire(lane: Lane<T>, remove: boolean): void {
    this.#decided.push({ kind: 'retire', lane, remove });
    this.#drop(lane);
  }

  #drop(lane: Lane<T>): void {
    this.#lanes.drop(lane);
    this.#numbers.giveBack(lane.number);
    this.#chooseMain();
  }

  /** The connection that it was in flight on is gone: what becomes of it is its mode's. */
  #again(ticket: Ticket<T>): void {
    const { idempotent, oneShot } = ticket.mode;
    if (ticket.left && (oneShot || !idempotent)) {
      const why = 'the connection was lost after the message had begun to leave: it may have run';
      this.#end(ticket, 'ERR_UNANSWERED', why);
    } else if (oneShot) {
      this.#end(ticket, 'ERR_NOT_SENT', 'the connection was lost before a one-shot could leave');
    } else this.#queue.add(ticket);
  }

  #takeFrom(ticket: Ticket<T>, now: number): void {
    for (const lane of [...this.#lanes]) {
      if (!lane.inFlight.delete(ticket)) continue;
      lane.attempts = 0;
      if (lane.inFlight.size === 0 && lane.state === 'active') lane.since = now;
    }
    if (this.#synchronous !== ticket) return;
    this.#synchronous = null;
    this.#chooseMain();
  }

  /** No more attempts are allowed: those that wait would wait forever. */
  #giveUp(now: number): void {
    const error = this.#attempts.givenUp;
    if (error === null) return;
    const reason = `no connection after ${this.#limits.backoff.maxAttempts} attempts: ${error.message}`;
    for (const ticket of this.#queue) this.#fail(ticket, new TcpshmError('ERR_CONNECT', reason, error), now);
  }

  #fail(ticket: Ticket<T>, error: TcpshmError, now: number): void {
    this.settled(ticket, now);
    this.#decided.push({ kind: 'fail', ticket, error });
  }

  #end(ticket: Ticket<T>, code: ErrorCode, reason: string): void {
    ticket.state = 'settled';
    this.#decided.push({ kind: 'fail', ticket, error: new TcpshmError(code, reason) });
  }
}

function isLost(lane: Lane<unknown>): boolean {
  return lane.state === 'lost' || lane.state === 'resuming';
}

function closed(): TcpshmError {
  return new TcpshmError('ERR_CLOSED', 'the destination is closed');
}
