import type { Socket } from 'node:net';
import type { Random } from '../support/random.js';
import type { Place } from './frameTracker.js';
import { Lane } from './lane.js';

/**
 * How a connection ends:
 * - close: the rest is dropped, both peers see an end
 * - reset: both peers see a reset, which takes what they have not read yet
 * - half-open: one of them sees an end or a reset, the other one nothing, for a while
 * - silence: in one or both directions nothing comes any more, and nobody is told
 * - stall: nothing comes in one direction for longer than the connection timeout, then all of it, too late
 */
export const CUT_KINDS = ['close', 'reset', 'half-open', 'silence', 'stall'] as const;
export type CutKind = (typeof CUT_KINDS)[number];

const WEIGHTS: readonly (readonly [CutKind, number])[] = [
  ['close', 30],
  ['reset', 35],
  ['half-open', 15],
  ['silence', 12],
  ['stall', 8],
];
const PLACES: readonly (readonly [Place, number])[] = [
  ['in a header', 40],
  ['in a payload', 40],
  ['between frames', 20],
];
/** How long to wait for the place to cut at. */
const MARK_MS = 300;

/** What was done to a connection. */
export interface Cut {
  readonly kind: CutKind;
  readonly place: Place;
  readonly toServer: boolean;
}

/** One connection through the relay: a lane in each direction. */
export class Passage {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #toServer: Lane;
  readonly #toClient: Lane;
  readonly #random: Random;
  readonly #connectionTimeoutMs: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #open = 2;
  #cut = false;
  /** What waits for the place to cut at. */
  #gone: () => void = () => {};

  constructor(near: Socket, far: Socket, random: Random, connectionTimeoutMs: number) {
    this.#near = near;
    this.#far = far;
    this.#random = random;
    this.#connectionTimeoutMs = connectionTimeoutMs;
    this.#toServer = new Lane(near, far, random);
    this.#toClient = new Lane(far, near, random);
    for (const socket of [near, far]) {
      socket.on('close', () => {
        this.#open--;
        this.#gone();
        if (this.#open === 0) for (const timer of this.#timers) clearTimeout(timer);
      });
    }
  }

  /** Whether it can be cut. */
  get whole(): boolean {
    return this.#open === 2 && !this.#cut;
  }

  get passedBytes(): number {
    return this.#toServer.passedBytes + this.#toClient.passedBytes;
  }

  /**
   * Cuts it in a random way, as soon as a random place has come. Calls `before` at once before that. Null when it has
   * ended by itself.
   */
  async cut(before: () => void): Promise<Cut | null> {
    const random = this.#random;
    const kind = random.weighted(WEIGHTS);
    const place = random.weighted(PLACES);
    const toServer = random.once(2);
    const lane = toServer ? this.#toServer : this.#toClient;
    return new Promise((resolve) => {
      const timer = setTimeout(() => cutNow(), MARK_MS);
      const over = (cut: Cut | null): void => {
        clearTimeout(timer);
        lane.unmark();
        this.#gone = () => {};
        resolve(cut);
      };
      const cutNow = (): void => {
        const where = lane.place;
        this.#cut = true;
        over({ kind, place: where, toServer });
        before();
        this.#end(kind, lane);
      };
      this.#gone = () => over(null);
      if (!this.whole) over(null);
      else lane.mark(place, cutNow);
    });
  }

  /** Ends what is left of it. */
  destroy(): void {
    for (const socket of [this.#near, this.#far]) socket.destroy();
  }

  #end(kind: CutKind, lane: Lane): void {
    const random = this.#random;
    const sockets = [this.#near, this.#far];
    const timeoutMs = this.#connectionTimeoutMs;
    // Whatever becomes of it: in the end nothing is left.
    this.#later(4 * timeoutMs, () => sockets.forEach(reset));
    if (kind === 'stall') {
      lane.stall();
      this.#later(random.between(timeoutMs * 1.5, timeoutMs * 2.5), () => {
        lane.go();
        this.#later(timeoutMs / 4, () => sockets.forEach(reset));
      });
      return;
    }
    lane.drop();
    if (kind === 'silence' && random.once(2)) return;
    for (const each of [this.#toServer, this.#toClient]) each.drop();
    if (kind === 'close') {
      for (const socket of sockets) this.#hangUp(socket);
    } else if (kind === 'reset') {
      sockets.forEach(reset);
    } else if (kind === 'half-open') {
      if (random.once(2)) sockets.reverse();
      const [first, second] = sockets as [Socket, Socket];
      for (const [socket, afterMs] of [
        [first, 0],
        [second, random.fraction() * timeoutMs * 1.5],
      ] as const) {
        const end = random.once(2) ? reset : (one: Socket) => this.#hangUp(one);
        if (afterMs === 0) end(socket);
        else this.#later(afterMs, () => end(socket));
      }
    }
  }

  /** What was handed on before still arrives, then the end. */
  #hangUp(socket: Socket): void {
    socket.end();
    this.#later(50, () => socket.destroy());
  }

  #later(afterMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, afterMs);
    this.#timers.add(timer);
  }
}

function reset(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy();
}
