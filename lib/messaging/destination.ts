import { TcpshmError } from '../errors.js';
import type { RunOptions } from '../poll/drive.js';
import {
  type Call,
  type Method,
  type NoticeOptions,
  neverIdempotent,
  type PartsReader,
  type RequestOptions,
  type Shape,
  type Started,
} from './call.js';
import { DestinationDrive } from './destinationDrive.js';
import type { Lane } from './destinationLanes.js';
import { Members } from './destinationMembers.js';
import { type DestinationEvent, type DestinationOptions, planLimits } from './destinationOptions.js';
import { type Decision, DestinationPlan } from './destinationPlan.js';
import type { Ticket } from './destinationQueue.js';
import { PoolRequest, type PoolRequestHost } from './destinationRequest.js';
import type { DestinationAddresses } from './destinationResolver.js';
import { checkRequest } from './requestOptions.js';

type Sent = Ticket<PoolRequest>;

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
  readonly #members: Members<PoolRequest>;
  readonly #drive = new DestinationDrive();
  #pumping = false;
  #closing: Promise<void> | null = null;
  #onClosed: (() => void) | null = null;

  /** Throws ERR_NAME, ERR_OPTION. Connects to nothing before it is polled or run. */
  constructor(addresses: DestinationAddresses, options: DestinationOptions) {
    this.#plan = new DestinationPlan<PoolRequest>(planLimits(options), Math.random);
    this.name = options.name;
    this.#options = options;
    this.#members = new Members(addresses, options, {
      ended: (lane, final, error) => this.#ended(lane, final, error),
      failed: (error) => this.#drive.failed(error),
    });
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
      name: this.#members.nameOf(lane),
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
  stream<R = unknown>(method: Method, value?: unknown, options: RequestOptions = {}): PartsReader<R> {
    if (options.idempotent === true) throw neverIdempotent();
    const request = this.#begin('many', method, value, options);
    request.response.catch(() => {});
    return request.parts as unknown as PartsReader<R>;
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
    this.#drive.polled(now);
    for (const member of this.#members) member.poll(now);
    this.#pump();
    this.#drive.throwLeft();
  }

  /**
   * Polls by itself, as `Client.run` does, until the signal aborts or it is closed. Rejects with what a handler throws.
   * Not with the idle strategy 'busy', as logins need the event loop.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#drive.running) {
      throw new TcpshmError('ERR_BUSY', `the destination '${this.name}' runs already`);
    }
    await this.#drive.run(options, this.#members, () => {
      this.#pump();
      // Nothing happens and nothing is due from then on: there would be nothing to wake it.
      return this.#plan.state === 'closed' ? null : this.#plan.restMs(performance.now());
    });
  }

  /**
   * Refuses new requests with ERR_CLOSED, waits until all others are settled, and closes the connections: for which it
   * must be polled or run. With `force` all that are not settled are rejected with ERR_CLOSED now, and what they have left
   * in sessions is removed. Twice is harmless; with `force` it ends what waits.
   */
  close(options: { readonly force?: boolean } = {}): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    }).then(() => this.#members.ended());
    this.#note();
    this.#plan.close(options.force ?? false, this.#drive.now);
    this.#pump();
    this.#drive.wake();
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
      const now = this.#drive.now;
      for (let d = this.#plan.next(now); d !== null; d = this.#plan.next(now)) this.#act(d);
    } finally {
      this.#pumping = false;
      this.#drive.wake();
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
      this.#plan.resolved(await this.#members.resolve(), this.#drive.now);
    } catch (thrown) {
      const error = thrown as TcpshmError;
      this.#plan.unresolved(error, this.#drive.now);
      this.#tell({ kind: 'unresolved', error });
    }
    this.#pump();
  }

  async #connect(lane: Lane<PoolRequest>, kind: 'connect' | 'resume'): Promise<void> {
    const name = this.#members.nameOf(lane);
    try {
      const connection = await this.#members.connect(lane);
      if (connection === null) return;
      this.#plan.connected(lane, this.#drive.now);
      this.#drive.along(this.#members.of(lane));
      this.#tell({ kind: kind === 'connect' ? 'connected' : 'resumed', name, connection });
    } catch (thrown) {
      if (lane.state === 'gone') return;
      const error = thrown as TcpshmError;
      if (kind === 'connect') this.#members.retire(lane, false);
      this.#note();
      this.#plan.refused(lane, error, this.#drive.now);
      this.#tell({ kind: 'refused', name, error });
    }
    this.#pump();
  }

  #ended(lane: Lane<PoolRequest>, final: boolean, error: TcpshmError | null): void {
    this.#note();
    if (final) this.#plan.broken(lane, this.#drive.now);
    else this.#plan.ended(lane, this.#drive.now);
    this.#tell({ kind: 'ended', name: this.#members.nameOf(lane), error });
    this.#pump();
  }

  #send(lane: Lane<PoolRequest>, ticket: Sent): void {
    const { item } = ticket;
    // What may run twice is repeated by the plan, which may choose another server.
    const { idempotent: _, synchronous: _one, signal: _signal, timeoutMs: _ms, ...options } = item.options;
    const member = this.#members.of(lane);
    let call: Started;
    try {
      call = member.start(item.shape, item.method, item.value, options);
    } catch (error) {
      this.#plan.settled(ticket, this.#drive.now);
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
          this.#plan.settled(ticket, this.#drive.now);
          item.resolve(answer);
        }),
      (error: unknown) => ended(() => this.#failed(lane, member.over, ticket, error)),
    );
  }

  #failed(lane: Lane<PoolRequest>, over: boolean, ticket: Sent, error: unknown): void {
    const code = error instanceof TcpshmError ? error.code : null;
    if (code !== 'ERR_NOT_SENT' && code !== 'ERR_UNANSWERED') {
      this.#plan.settled(ticket, this.#drive.now);
      ticket.item.reject(error);
      return;
    }
    // Somebody has closed the connection: nothing goes over it any more.
    if (over) {
      this.#note();
      this.#plan.broken(lane, this.#drive.now);
    }
    this.#plan.returned(ticket, this.#drive.now);
  }

  #recall({ item }: Sent): void {
    item.lands()?.withdraw();
  }

  readonly #host: PoolRequestHost = {
    giveUp: (request, reason) => {
      const { ticket } = request;
      if (ticket === null || ticket.state === 'settled') return;
      const call = request.lands();
      this.#plan.settled(ticket, this.#drive.now);
      request.reject(reason);
      call?.cancel(reason);
      this.#pump();
    },
  };

  #retire(lane: Lane<PoolRequest>, remove: boolean): void {
    if (!this.#members.retire(lane, remove)) return;
    this.#tell({ kind: 'closed', name: this.#members.nameOf(lane), removed: remove });
  }

  /** Tells the plan what has left. */
  #note(): void {
    for (const lane of this.#plan.lanes) {
      for (const ticket of lane.inFlight) if (ticket.item.call?.left) ticket.left = true;
    }
  }

  #tell(event: DestinationEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      this.#drive.threw(error);
    }
  }
}
