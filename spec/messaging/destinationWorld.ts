/** A world around the plan of a pool: servers that come and go, links that are cut, and sessions that outlive both. */
import { type ErrorCode, TcpshmError } from '../../lib/errors.js';
import type { Lane } from '../../lib/messaging/destinationLanes.js';
import { type Decision, DestinationPlan, type PlanLimits } from '../../lib/messaging/destinationPlan.js';
import type { DeliveryMode, Ticket } from '../../lib/messaging/destinationQueue.js';
import type { Random } from '../support/random.js';

/** What is known of a message of a schedule. */
export interface Letter {
  readonly name: number;
  readonly mode: DeliveryMode;
  runs: number;
  outcome: string | null;
}

type Sent = Ticket<Letter>;

/** A session as its server has it. */
interface Session {
  /** Pushed by the client, and not run yet. */
  readonly pending: Set<Sent>;
  /** Run, and not answered yet: gone when the server's process dies. */
  readonly running: Set<Sent>;
  /** Whether its server knows of it: since a login, until its process dies. */
  live: boolean;
  /** The client has removed its side: nobody can log in to it any more. */
  over: boolean;
}

interface Host {
  readonly address: string;
  up: boolean;
  readonly sessions: Map<number, Session>;
}

/** An end of the link as the client has it: of a session, if it had one. */
interface Link {
  session: Session | null;
  readonly host: Host;
}

export class World {
  now = 0;
  readonly trace: string[] = [];
  readonly letters: Letter[] = [];
  readonly plan: DestinationPlan<Letter>;
  readonly hosts: Host[];
  connects = 0;
  sends = 0;
  closed = false;
  readonly #limits: PlanLimits;
  readonly #random: Random;
  readonly #links = new Map<Lane<Letter>, Link>();
  readonly #tickets: Sent[] = [];
  #resolving = false;
  #lastSynchronous = -1;

  constructor(limits: PlanLimits, hosts: number, random: Random) {
    this.#limits = limits;
    this.#random = random;
    this.plan = new DestinationPlan<Letter>(limits, () => random.fraction());
    this.hosts = Array.from({ length: hosts }, (_, i) => ({
      address: `host${i}`,
      up: true,
      sessions: new Map<number, Session>(),
    }));
  }

  get unsettled(): readonly Letter[] {
    return this.letters.filter(({ outcome }) => outcome === null);
  }

  submit(mode: DeliveryMode): Letter | ErrorCode {
    const letter: Letter = { name: this.letters.length, mode, runs: 0, outcome: null };
    try {
      this.#tickets.push(this.plan.submit(letter, mode));
    } catch (error) {
      return (error as TcpshmError).code;
    }
    this.letters.push(letter);
    this.#say(`submit ${letter.name} ${Object.keys(mode).join('+')}`);
    this.pump();
    return letter;
  }

  cancelOne(): void {
    const open = this.#tickets.filter(({ state }) => state !== 'settled');
    if (open.length === 0) return;
    const ticket = this.#random.pick(open);
    this.#settle(ticket.item, 'cancelled');
    this.plan.settled(ticket, this.now);
    for (const { session } of this.#links.values()) session?.pending.delete(ticket);
    this.pump();
  }

  close(force: boolean): void {
    this.#say(`close ${force}`);
    this.plan.close(force, this.now);
    this.pump();
  }

  /** Time goes by, and one thing happens. */
  step(calm = false): void {
    this.now += this.#random.below(20);
    const act = this.#random.weighted<() => void>([
      [() => this.#resolve(), 3],
      [() => this.#finishLogins(), 6],
      [() => this.#leave(), 6],
      [() => this.#run(), 6],
      [() => this.#answer(), 8],
      [() => this.#cut(), calm ? 0 : 1],
      [() => this.#die(), calm ? 0 : 1],
      [() => this.#rise(), calm ? 6 : 2],
    ]);
    act();
    this.pump();
  }

  pump(): void {
    for (let i = 0; ; i++) {
      if (i > 10_000) throw new Error('the plan has something to do for ever');
      const decision = this.plan.next(this.now);
      if (decision === null) break;
      this.#act(decision);
      this.#check();
    }
    const rest = this.plan.restMs(this.now);
    if (!(rest >= 0)) throw new Error(`rests for ${rest} ms`);
    if (rest === 0) throw new Error('has something to do, and did not say what');
  }

  #act(decision: Decision<Letter>): void {
    switch (decision.kind) {
      case 'resolve':
        this.#expect(!this.#resolving, 'resolves twice at a time');
        this.#resolving = true;
        break;
      case 'connect': {
        const { lane } = decision;
        this.connects++;
        this.#say(`connect ${lane.number} ${lane.address}`);
        this.#links.set(lane, { session: null, host: this.#hostOf(lane) });
        break;
      }
      case 'resume':
        this.#say(`resume ${decision.lane.number}`);
        break;
      case 'send': {
        const { lane, ticket } = decision;
        this.#say(`send ${ticket.item.name} over ${lane.number}`);
        this.#expect(lane.state === 'active', 'sends over what is not up');
        this.#expect(ticket.item.outcome === null, 'sends what is settled');
        this.sends++;
        if (ticket.mode.synchronous) this.#checkSynchronous(lane, ticket);
        break;
      }
      case 'recall':
        this.#expect(!decision.ticket.left, 'recalls what has left');
        break;
      case 'fail': {
        const { ticket, error } = decision;
        this.#settle(ticket.item, error.code);
        if (error.code === 'ERR_NOT_SENT') this.#expect(ticket.item.runs === 0, 'not sent, and has run');
        break;
      }
      case 'retire':
        this.#retire(decision.lane, decision.remove);
        break;
      case 'closed':
        this.closed = true;
        this.#expect(this.unsettled.length === 0, 'closed with messages that are not settled');
        this.#expect(this.#links.size === 0, 'closed with connections');
    }
  }

  #retire(lane: Lane<Letter>, remove: boolean): void {
    this.#say(`retire ${lane.number} ${remove}`);
    const link = this.#links.get(lane);
    this.#links.delete(lane);
    const session = link?.session ?? null;
    if (link === undefined || session === null) return;
    if (!remove) {
      const left = [...session.pending].filter(({ item }) => item.outcome !== 'cancelled');
      this.#expect(left.length === 0, 'leaves a session to be used again with what must not be run');
      return;
    }
    session.over = true;
  }

  #resolve(): void {
    if (!this.#resolving) return;
    this.#resolving = false;
    if (this.#random.once(5)) this.plan.unresolved(failure('ERR_CONNECT'), this.now);
    else
      this.plan.resolved(
        this.hosts.map(({ address }) => address),
        this.now,
      );
  }

  #finishLogins(): void {
    for (const [lane, link] of this.#links) {
      if (lane.state === 'pending') this.#login(lane, link);
      else if (lane.state === 'resuming') this.#relogin(lane, link);
    }
  }

  #login(lane: Lane<Letter>, link: Link): void {
    const { host } = link;
    const known = host.sessions.get(lane.number);
    const code = this.#whyRefused(host, known);
    if (code !== null) {
      this.#links.delete(lane);
      this.plan.refused(lane, failure(code), this.now);
      return;
    }
    link.session = known ?? { pending: new Set(), running: new Set(), live: true, over: false };
    link.session.live = true;
    host.sessions.set(lane.number, link.session);
    this.plan.connected(lane, this.now);
  }

  #whyRefused(host: Host, known: Session | undefined): ErrorCode | null {
    if (!host.up) return 'ERR_CONNECT';
    if (known?.over) return 'ERR_SEQUENCE_MISMATCH';
    return this.#random.once(10) ? 'ERR_ALREADY_CONNECTED' : null;
  }

  #relogin(lane: Lane<Letter>, { host, session }: Link): void {
    if (!host.up) this.plan.refused(lane, failure('ERR_CONNECT'), this.now);
    else if (host.sessions.get(lane.number) !== session)
      this.plan.refused(lane, failure('ERR_SEQUENCE_MISMATCH'), this.now);
    else {
      if (session !== null) session.live = true;
      this.plan.connected(lane, this.now);
      // What the server's process had taken when it died, it knows nothing of.
      for (const ticket of [...lane.inFlight]) {
        if (!session?.pending.has(ticket) && !session?.running.has(ticket))
          this.plan.returned(ticket, this.now);
      }
    }
  }

  #leave(): void {
    for (const [lane, { session }] of this.#links) {
      if (lane.state !== 'active') continue;
      for (const ticket of lane.inFlight) {
        if (ticket.left || this.#random.once(3)) continue;
        ticket.left = true;
        session?.pending.add(ticket);
      }
    }
  }

  /** A server runs what it has, whether or not the client is connected. */
  #run(): void {
    for (const host of this.hosts) {
      if (!host.up) continue;
      for (const session of host.sessions.values()) {
        if (!session.live) continue;
        for (const ticket of [...session.pending]) {
          if (this.#random.once(3)) continue;
          session.pending.delete(ticket);
          session.running.add(ticket);
          ticket.item.runs++;
          const { idempotent } = ticket.item.mode;
          this.#expect(idempotent === true || ticket.item.runs === 1, `${ticket.item.name} runs again`);
          this.#expect(ticket.item.outcome !== 'ERR_NOT_SENT', 'runs what was said not to have left');
        }
      }
    }
  }

  #answer(): void {
    for (const [lane, { session }] of this.#links) {
      if (lane.state !== 'active' || session === null) continue;
      for (const ticket of [...session.running]) {
        if (this.#random.once(2)) continue;
        session.running.delete(ticket);
        if (ticket.item.outcome !== null || !lane.inFlight.has(ticket)) continue;
        this.#settle(ticket.item, 'answered');
        this.plan.settled(ticket, this.now);
      }
    }
    // Answers to nobody.
    for (const host of this.hosts) {
      for (const session of host.sessions.values()) {
        for (const ticket of [...session.running])
          if (ticket.item.outcome !== null) session.running.delete(ticket);
      }
    }
  }

  #cut(): void {
    const up = [...this.#links.keys()].filter(({ state }) => state === 'active');
    if (up.length === 0) return;
    const lane = this.#random.pick(up);
    this.#say(`cut ${lane.number}`);
    this.plan.ended(lane, this.now);
  }

  #die(): void {
    const host = this.#random.pick(this.hosts);
    if (!host.up) return;
    host.up = false;
    this.#say(`${host.address} dies`);
    for (const session of host.sessions.values()) {
      session.running.clear();
      session.live = false;
    }
    for (const [lane, link] of this.#links) {
      if (link.host === host && lane.state === 'active') this.plan.ended(lane, this.now);
    }
  }

  #rise(): void {
    const host = this.#random.pick(this.hosts);
    host.up = true;
  }

  #check(): void {
    const lanes = [...this.plan.lanes];
    const numbers = lanes.map(({ number }) => number);
    this.#expect(new Set(numbers).size === numbers.length, `numbers twice: ${numbers}`);
    this.#expect(lanes.length <= this.#limits.maxConnections, `${lanes.length} connections`);
    const pending = lanes.filter(({ state }) => state === 'pending');
    this.#expect(pending.length <= this.#limits.maxPending, `${pending.length} pending`);
    for (const lane of lanes) {
      const plain = [...lane.inFlight].filter(({ mode }) => !mode.synchronous);
      this.#expect(plain.length <= this.#limits.maxInFlight, `${plain.length} in flight`);
    }
  }

  #checkSynchronous(lane: Lane<Letter>, ticket: Sent): void {
    this.#expect(lane === this.plan.main, 'a synchronous message goes over another than the main connection');
    const others = this.#tickets.filter(
      (other) => other !== ticket && other.mode.synchronous && other.state === 'in flight',
    );
    this.#expect(others.length === 0, 'two synchronous messages at a time');
    this.#expect(ticket.order >= this.#lastSynchronous, 'synchronous messages out of order');
    this.#lastSynchronous = ticket.order;
  }

  #settle(letter: Letter, outcome: string): void {
    this.#say(`${letter.name}: ${outcome}`);
    this.#expect(letter.outcome === null, `${letter.name} is settled twice: ${letter.outcome}, ${outcome}`);
    letter.outcome = outcome;
    if (outcome === 'answered') this.#expect(letter.runs > 0, 'answered without having run');
  }

  #hostOf(lane: Lane<Letter>): Host {
    return this.hosts.find(({ address }) => address === lane.address) as Host;
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) throw new Error(what);
  }

  #say(line: string): void {
    this.trace.push(`${this.now} ${line}`);
  }
}

function failure(code: ErrorCode): TcpshmError {
  return new TcpshmError(code, 'as the schedule has it');
}
