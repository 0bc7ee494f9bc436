import { setTimeout as sleep } from 'node:timers/promises';
import { TcpshmError } from '../errors.js';
import type { ConnectOptions } from '../login/dial.js';
import type { RunOptions } from '../poll/drive.js';
import {
  type Call,
  type Method,
  type NoticeOptions,
  neverIdempotent,
  type RequestOptions,
  type Shape,
  type Started,
} from './call.js';
import type { Lane } from './destinationLanes.js';
import { Member } from './destinationMember.js';
import { type DestinationEvent, type DestinationOptions, planLimits } from './destinationOptions.js';
import { type Decision, DestinationPlan } from './destinationPlan.js';
import type { Ticket } from './destinationQueue.js';
import { PoolRequest, type PoolRequestHost } from './destinationRequest.js';
import { addressKey, type DestinationAddresses, type Resolver, resolverOf } from './destinationResolver.js';
import { checkRequest } from './requestOptions.js';

type Sent = Ticket<PoolRequest>;

/** A timer cannot wait for longer. */
const LONGEST_MS = 0x7fffffff;

/**
 * Requests to a service that may have several servers, over a pool of connections to them: which grows with what waits,
 * shrinks when it is idle, and goes on with another server when one is gone for good. Each connection is a session, so
 * a link that breaks and comes back loses and repeats nothing. README.md has what each mode promises.
 *
 *     const prices = new Destination([{ port: 7000 }, { port: 7001 }], { name: 'trader' });
 *     void prices.run();
 *     await prices.request('price', 'ACME', { idempotent: true });
 *
 * Works while it `run`s, or while `poll` is called and the event loop turns. Belongs to one thread.
 */
export class Destination {
  readonly name: string;
  readonly #options: DestinationOptions;
  readonly #plan: DestinationPlan<PoolRequest>;
  readonly #resolver: Resolver;
  readonly #addresses = new Map<string, ConnectOptions>();
  readonly #members = new Map<Lane<PoolRequest>, Member>();
  /** What ends in its own time: members that were closed. */
  readonly #endings = new Set<Promise<unknown>>();
  /** What the user's handler threw, for the next polls. */
  readonly #thrown: unknown[] = [];
  /** What `poll` was last given; while it runs, the clock. */
  #now = 0;
  #pumping = false;
  #run: { readonly options: RunOptions; readonly failed: (error: unknown) => void } | null = null;
  #onWake: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  #onClosed: (() => void) | null = null;

  /** Throws ERR_NAME, ERR_OPTION. Connects to nothing before it is polled or run. */
  constructor(addresses: DestinationAddresses, options: DestinationOptions) {
    this.#plan = new DestinationPlan<PoolRequest>(planLimits(options), Math.random);
    this.name = options.name;
    this.#options = options;
    this.#resolver = resolverOf(addresses);
  }

  /** Requests that wait for a connection. */
  get queued(): number {
    return this.#plan.queued;
  }

  /** Its connections, by their names. */
  get connections(): readonly {
    name: string;
    address: string;
    state: Lane<unknown>['state'];
    inFlight: number;
  }[] {
    return [...this.#plan.lanes].map((lane) => ({
      name: this.#nameOf(lane),
      address: lane.address,
      state: lane.state,
      inFlight: lane.inFlight.size,
    }));
  }

  /**
   * Asks one of the servers, and gives its answer. `synchronous` ones go one after another over the main connection, a
   * `oneShot` goes at once or is rejected with ERR_NOT_SENT, an `idempotent` one is sent again, perhaps to another server,
   * until it is answered or given up (its `body` must be a function then). Rejects with what `Messenger.request` does,
   * ERR_UNANSWERED when the connection was lost after it had begun to leave, ERR_QUEUE_FULL, ERR_CONNECT when no more
   * attempts are allowed, ERR_TIMEOUT, ERR_OPTION, ERR_CLOSED, and the signal's reason. `timeoutMs` is real time, and counts
   * from this call on.
   */
  async request<R = unknown>(method: Method, value?: unknown, options: RequestOptions = {}): Promise<R> {
    return this.call<R>(method, value, options).response;
  }

  /** As `request`, and tells more. Throws ERR_OPTION, ERR_CLOSED, ERR_QUEUE_FULL; all else is told by the call. */
  call<R = unknown>(method: Method, value?: unknown, options: RequestOptions = {}): Call<R> {
    return this.#begin('one', method, value, options);
  }

  /**
   * Asks for an answer in parts, to be read by one loop, as `Messenger.stream` does. It counts as in flight until its last
   * part has come. What was read cannot be taken back, so it is never idempotent. Throws ERR_OPTION, ERR_CLOSED,
   * ERR_QUEUE_FULL; its `next` rejects with all else that `request` rejects with.
   */
  stream<R = unknown>(
    method: Method,
    value?: unknown,
    options: RequestOptions = {},
  ): AsyncIterableIterator<R, undefined> {
    if (options.idempotent === true) throw neverIdempotent();
    const request = this.#begin('many', method, value, options);
    request.response.catch(() => {});
    return request.parts as unknown as AsyncIterableIterator<R, undefined>;
  }

  /**
   * Tells one of the servers something, of which no answer is expected. Resolves when all of it is in the queue of a
   * connection. Rejects with what `request` rejects with.
   */
  async notify(method: Method, value?: unknown, options: NoticeOptions = {}): Promise<void> {
    return this.#begin('nothing', method, value, options).response;
  }

  /**
   * Does all there is to do, once. `now` in milliseconds, of a clock that does not go backwards. Throws what `onEvent` has
   * thrown.
   */
  poll(now: number = performance.now()): void {
    this.#now = now;
    for (const member of [...this.#members.values()]) member.poll(now);
    this.#pump();
    if (this.#thrown.length > 0) throw this.#thrown.shift();
  }

  /**
   * Polls by itself, as `Client.run` does, until the signal aborts or it is closed. Rejects with what a handler throws.
   * Not with the idle strategy 'busy', as logins need the event loop.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#run !== null) throw new TcpshmError('ERR_BUSY', `the destination '${this.name}' runs already`);
    const { signal } = options;
    const failure = new Promise<never>((_, reject) => {
      this.#run = { options, failed: reject };
    });
    failure.catch(() => {});
    const wake = (): void => this.#wake();
    signal?.addEventListener('abort', wake);
    try {
      for (const member of this.#members.values()) this.#drive(member);
      while (!signal?.aborted) {
        this.#pump();
        // Nothing happens and nothing is due from then on: there would be nothing to wake it.
        if (this.#plan.state === 'closed') break;
        await Promise.race([failure, this.#rest()]);
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.#run = null;
    }
  }

  /**
   * Refuses new requests with ERR_CLOSED, waits until all others are settled, and closes the connections: for which it
   * must be polled or run. With `force` all that are not settled are rejected with ERR_CLOSED now, and what they have left
   * in sessions is removed. Twice is harmless; with `force` it ends what waits.
   */
  close(options: { readonly force?: boolean } = {}): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    }).then(async () => {
      await Promise.all(this.#endings);
    });
    this.#note();
    this.#plan.close(options.force ?? false, this.#time);
    this.#pump();
    this.#wake();
    return this.#closing;
  }

  #begin(shape: Shape, method: Method, value: unknown, options: RequestOptions): PoolRequest {
    checkRequest(options);
    const request = new PoolRequest(this.#host, shape, method, value, options);
    if (options.signal?.aborted) {
      request.reject(options.signal.reason);
      return request;
    }
    request.ticket = this.#plan.submit(request, options);
    request.begin();
    this.#pump();
    return request;
  }

  /** Does what the plan decides, until there is nothing more to do now. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      const now = this.#time;
      for (let d = this.#plan.next(now); d !== null; d = this.#plan.next(now)) this.#act(d);
    } finally {
      this.#pumping = false;
      this.#wake();
    }
  }

  #act(decision: Decision<PoolRequest>): void {
    switch (decision.kind) {
      case 'resolve':
        void this.#resolve();
        return;
      case 'connect':
      case 'resume':
        void this.#connect(decision.lane, decision.kind);
        return;
      case 'send':
        this.#send(decision.lane, decision.ticket);
        return;
      case 'recall':
        this.#recall(decision.ticket);
        return;
      case 'fail':
        decision.ticket.item.reject(decision.error);
        return;
      case 'retire':
        this.#retire(decision.lane, decision.remove);
        return;
      case 'closed':
        this.#onClosed?.();
    }
  }

  async #resolve(): Promise<void> {
    try {
      const found = await this.#resolver();
      this.#addresses.clear();
      for (const address of found) this.#addresses.set(addressKey(address), address);
      this.#plan.resolved([...this.#addresses.keys()], this.#time);
    } catch (cause) {
      const reason = `the addresses of '${this.name}' cannot be resolved: ${(cause as Error).message}`;
      const error = new TcpshmError('ERR_CONNECT', reason, cause);
      this.#plan.unresolved(error, this.#time);
      this.#tell({ kind: 'unresolved', error });
    }
    this.#pump();
  }

  async #connect(lane: Lane<PoolRequest>, kind: 'connect' | 'resume'): Promise<void> {
    const name = this.#nameOf(lane);
    try {
      const member = this.#members.get(lane) ?? this.#member(lane);
      const connection = await member.connect();
      // It may have been retired meanwhile.
      if (this.#members.get(lane) !== member) return;
      this.#plan.connected(lane, this.#time);
      this.#drive(member);
      this.#tell({ kind: kind === 'connect' ? 'connected' : 'resumed', name, connection });
    } catch (thrown) {
      if (lane.state === 'gone') return;
      const error =
        thrown instanceof TcpshmError
          ? thrown
          : new TcpshmError('ERR_CONNECT', `${name}: ${(thrown as Error).message}`, thrown);
      if (kind === 'connect') this.#forget(lane, false);
      this.#note();
      this.#plan.refused(lane, error, this.#time);
      this.#tell({ kind: 'refused', name, error });
    }
    this.#pump();
  }

  #member(lane: Lane<PoolRequest>): Member {
    const name = this.#nameOf(lane);
    const address = this.#addresses.get(lane.address) as ConnectOptions;
    const member = new Member(name, address, this.#options, {
      ended: (final, error) => {
        if (this.#members.get(lane) !== member) return;
        this.#note();
        if (final) this.#plan.broken(lane, this.#time);
        else this.#plan.ended(lane, this.#time);
        this.#tell({ kind: 'ended', name, error });
        this.#pump();
      },
    });
    this.#members.set(lane, member);
    return member;
  }

  #send(lane: Lane<PoolRequest>, ticket: Sent): void {
    const { item } = ticket;
    // What may run twice is repeated by the plan, which may choose another server.
    const { idempotent: _, synchronous: _one, signal: _signal, timeoutMs: _ms, ...options } = item.options;
    const member = this.#members.get(lane) as Member;
    let call: Started;
    try {
      call = member.start(item.shape, item.method, item.value, options);
    } catch (error) {
      this.#plan.settled(ticket, this.#time);
      item.reject(error);
      return;
    }
    item.flies(call);
    const ended = (end: () => void): void => {
      if (item.call !== call) return;
      item.lands();
      ticket.left = call.left;
      end();
      this.#pump();
    };
    call.response.then(
      (answer) =>
        ended(() => {
          this.#plan.settled(ticket, this.#time);
          item.resolve(answer);
        }),
      (error: unknown) => ended(() => this.#failed(lane, member, ticket, error)),
    );
  }

  #failed(lane: Lane<PoolRequest>, member: Member, ticket: Sent, error: unknown): void {
    const code = error instanceof TcpshmError ? error.code : null;
    if (code !== 'ERR_NOT_SENT' && code !== 'ERR_UNANSWERED') {
      this.#plan.settled(ticket, this.#time);
      ticket.item.reject(error);
      return;
    }
    // Somebody has closed the connection: nothing goes over it any more.
    if (member.over) {
      this.#note();
      this.#plan.broken(lane, this.#time);
    }
    this.#plan.returned(ticket, this.#time);
  }

  #recall({ item }: Sent): void {
    item.lands()?.withdraw();
  }

  readonly #host: PoolRequestHost = {
    giveUp: (request, reason) => {
      const { ticket } = request;
      if (ticket === null || ticket.state === 'settled') return;
      const call = request.lands();
      this.#plan.settled(ticket, this.#time);
      request.reject(reason);
      call?.cancel(reason);
      this.#pump();
    },
  };

  #retire(lane: Lane<PoolRequest>, remove: boolean): void {
    const member = this.#members.get(lane);
    if (member === undefined) return;
    this.#forget(lane, remove);
    if (member.connection !== null) this.#tell({ kind: 'closed', name: member.name, removed: remove });
  }

  #forget(lane: Lane<PoolRequest>, remove: boolean): void {
    const member = this.#members.get(lane);
    this.#members.delete(lane);
    if (member === undefined) return;
    const ending = member.close(remove).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    ending.catch((error: unknown) => this.#run?.failed(error));
  }

  /** Tells the plan what has left. */
  #note(): void {
    for (const lane of this.#plan.lanes) {
      for (const ticket of lane.inFlight) if (ticket.item.call?.left) ticket.left = true;
    }
  }

  #drive(member: Member): void {
    if (this.#run === null) return;
    const { options, failed } = this.#run;
    member.run(options).catch(failed);
  }

  #tell(event: DestinationEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      if (this.#run === null) this.#thrown.push(error);
      else this.#run.failed(error);
    }
  }

  /** Sleeps until something happens or is due. */
  async #rest(): Promise<void> {
    const ms = Math.min(this.#plan.restMs(performance.now()), LONGEST_MS);
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#onWake = resolve;
    });
    await Promise.race([woken, sleep(ms, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }

  #wake(): void {
    this.#onWake?.();
    this.#onWake = null;
  }

  get #time(): number {
    if (this.#run !== null) this.#now = performance.now();
    return this.#now;
  }

  #nameOf(lane: Lane<unknown>): string {
    return `${this.name}-${lane.number}`;
  }
}
