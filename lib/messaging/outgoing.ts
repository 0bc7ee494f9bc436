import { Flag, FRAGMENT_COST } from './packet.js';

/** The priorities, the first one first: so often those behind have their turn while it has something. */
const LEVELS = 3;
const TURNS_PER_LOWER = 8;
/** So many flows begin for one fragment of those that are under way. */
const BEGINNINGS_PER_TURN = 4;

const NONE = 0;
const BEGINNING = 1;
const TURNING = 2;
const WAITING = 3;

/** One direction of an exchange, with what of it is still to go out. */
export class OutgoingFlow {
  /** Given when the first fragment goes out, for a request. */
  id = 0;
  readonly answer: boolean;
  /** 0 to 2, the most urgent first. */
  readonly level: number;
  /** Bytes that may go out, costs of fragments included. */
  credit: number;
  /** The value of which fragments go out now; null between two values. */
  bytes: Uint8Array | null = null;
  raw = false;
  /** So many of its bytes have gone out. */
  at = 0;
  /** Whether nothing follows it. */
  ends = false;
  /** Whether a fragment has gone out. */
  begun = false;
  /** Whether all has gone out, or the flow was given up. */
  done = false;
  /** @internal Where it is queued. */
  place = NONE;
  next: OutgoingFlow | null = null;

  constructor(answer: boolean, level: number, credit: number) {
    this.answer = answer;
    this.level = level;
    this.credit = credit;
  }

  /** Whether a fragment could go out. */
  get ready(): boolean {
    if (this.done) return false;
    if (this.bytes === null) return this.ends;
    return this.credit > FRAGMENT_COST || (this.bytes.length === 0 && this.credit === FRAGMENT_COST);
  }

  /** Bytes of the next fragment, if it may have so many. */
  fragmentBytes(most: number): number {
    if (this.bytes === null) return 0;
    return Math.min(this.bytes.length - this.at, most, this.credit - FRAGMENT_COST);
  }

  /** What the next fragment of so many bytes is. */
  fragmentFlags(size: number): number {
    if (this.bytes === null) return Flag.end | (this.answer ? Flag.answer : 0);
    const last = this.raw || this.at + size === this.bytes.length;
    const all = this.at + size === this.bytes.length;
    return (
      (this.raw || this.at === 0 ? Flag.first : 0) |
      (last ? Flag.last : 0) |
      (all && this.ends ? Flag.end : 0) |
      (this.raw ? Flag.bytes : 0) |
      (this.answer ? Flag.answer : 0)
    );
  }

  /** A fragment of so many bytes has gone out. */
  sent(size: number): void {
    this.begun = true;
    if (this.bytes !== null) {
      this.credit -= size + FRAGMENT_COST;
      this.at += size;
      if (this.at < this.bytes.length) return;
      this.bytes = null;
      this.at = 0;
    }
    this.done = this.ends;
  }
}

/**
 * Which flow sends its next fragment: pure. Those that have not begun go before those that are under way, so that a small
 * message overtakes large ones, and those under way take turns, so many of them at the most. The others wait for one of
 * these to end its value. Priorities come first. Nobody starves: each kind that is behind has its turn now and then.
 */
export class Outgoing {
  readonly #levels = Array.from({ length: LEVELS }, () => new Level());
  readonly #mostTurning: number;
  #turning = 0;
  #waiting = 0;
  /** Turns that levels had while lower ones had something. */
  readonly #ahead = new Int32Array(LEVELS);
  /** The one that `next` has given, until `went` or `failed`. */
  #size = 0;

  /** `mostTurning` is how many values may be under way at once. */
  constructor(mostTurning: number) {
    this.#mostTurning = mostTurning;
  }

  /** Whether nothing could go out. */
  get empty(): boolean {
    return this.#size === 0;
  }

  /** Has a flow queued, if it has something that may go out: after a value, its end, or credit was given to it. */
  stir(flow: OutgoingFlow): void {
    if (flow.place !== NONE || !flow.ready) return;
    const level = this.#levels[flow.level] as Level;
    this.#size++;
    if (!flow.begun) {
      flow.place = BEGINNING;
      level.beginning.push(flow);
    } else {
      this.#turnOrWait(flow, level);
    }
  }

  /**
   * The flow whose fragment goes out next, which stays where it is until `went`; null when there is none. Without `large`,
   * only those that begin are asked, unless it is the turn of another: then there is none.
   */
  next(large: boolean): OutgoingFlow | null {
    for (;;) {
      const flow = this.#choose(large);
      if (flow === null || flow.ready) return flow;
      // It was given up.
      for (const level of this.#levels) this.#drop(level);
    }
  }

  #choose(large: boolean): OutgoingFlow | null {
    for (let i = 0; i < LEVELS; i++) {
      const level = this.#levels[i] as Level;
      this.#drop(level);
      if (level.empty) continue;
      if ((this.#ahead[i] as number) >= TURNS_PER_LOWER && this.#hasBelow(i)) continue;
      const flow = level.choose(large);
      if (flow !== null) return flow;
    }
    // Those whose turn it is not, if nobody else can.
    for (const level of this.#levels) {
      const flow = level.choose(large);
      if (flow !== null) return flow;
    }
    return null;
  }

  /** Whether the flow that `next` has given waits for its turn for so long that nobody goes before it. */
  owed(flow: OutgoingFlow): boolean {
    return flow.place === TURNING && (this.#levels[flow.level] as Level).owed;
  }

  /** A fragment of the flow that `next` has given went out. */
  went(flow: OutgoingFlow): void {
    const level = this.#levels[flow.level] as Level;
    if (this.#hasBelow(flow.level)) (this.#ahead[flow.level] as number)++;
    for (let i = 0; i < flow.level; i++) this.#ahead[i] = 0;
    const begins = flow.place === BEGINNING;
    if (begins) level.begunSince++;
    else level.begunSince = 0;
    if (begins) level.beginning.shift();
    else {
      level.turning.shift();
      this.#turning--;
    }
    flow.place = NONE;
    this.#size--;
    if (!flow.ready) {
      this.#letIn();
      return;
    }
    this.#size++;
    // One in the middle of its value keeps its turn, between two values others may come in.
    if (!begins && flow.at > 0) this.#turn(flow, level);
    else this.#turnOrWait(flow, level);
    this.#letIn();
  }

  /** It is given up: nothing more of it goes out. */
  remove(flow: OutgoingFlow): void {
    flow.done = true;
    flow.bytes = null;
  }

  #turnOrWait(flow: OutgoingFlow, level: Level): void {
    if (this.#turning < this.#mostTurning && this.#waiting === 0) {
      this.#turn(flow, level);
      return;
    }
    flow.place = WAITING;
    this.#waiting++;
    level.waiting.push(flow);
    this.#letIn();
  }

  #turn(flow: OutgoingFlow, level: Level): void {
    flow.place = TURNING;
    this.#turning++;
    level.turning.push(flow);
  }

  /** Lets those who wait have turns, the most urgent first. */
  #letIn(): void {
    for (const level of this.#levels) {
      while (this.#waiting > 0 && this.#turning < this.#mostTurning && level.waiting.head !== null) {
        const flow = level.waiting.shift();
        this.#waiting--;
        this.#turn(flow, level);
      }
    }
  }

  /** Lets go of those that were given up or have lost their credit, as far as they are first. */
  #drop(level: Level): void {
    for (const queue of level.queues) {
      while (queue.head !== null && !queue.head.ready) {
        const flow = queue.shift();
        if (flow.place === TURNING) this.#turning--;
        if (flow.place === WAITING) this.#waiting--;
        flow.place = NONE;
        this.#size--;
      }
    }
    this.#letIn();
  }

  #hasBelow(index: number): boolean {
    for (let i = index + 1; i < LEVELS; i++) if (!(this.#levels[i] as Level).empty) return true;
    return false;
  }
}

/** Flows of one priority. */
class Level {
  readonly beginning = new Queue();
  readonly turning = new Queue();
  readonly waiting = new Queue();
  readonly queues = [this.beginning, this.turning, this.waiting];
  /** Flows that have begun since one had its turn. */
  begunSince = 0;

  get empty(): boolean {
    return this.beginning.head === null && this.turning.head === null;
  }

  get owed(): boolean {
    return this.turning.head !== null && this.begunSince >= BEGINNINGS_PER_TURN;
  }

  choose(large: boolean): OutgoingFlow | null {
    if (this.owed) return this.turning.head;
    if (this.beginning.head !== null) return this.beginning.head;
    return large ? this.turning.head : null;
  }
}

/** In order, linked by the flows themselves: each is in one queue at a time. */
class Queue {
  head: OutgoingFlow | null = null;
  #tail: OutgoingFlow | null = null;

  push(flow: OutgoingFlow): void {
    flow.next = null;
    if (this.#tail === null) this.head = flow;
    else this.#tail.next = flow;
    this.#tail = flow;
  }

  shift(): OutgoingFlow {
    const flow = this.head as OutgoingFlow;
    this.head = flow.next;
    if (this.head === null) this.#tail = null;
    flow.next = null;
    return flow;
  }
}
