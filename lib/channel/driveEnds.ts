import type { Connection, ConnectionHandlers } from '../connection/connection.js';
import { defaultSharedDirectory } from '../options.js';
import { drive, type Pollable, type Run, type RunOptions } from '../poll/drive.js';
import { SWEEPS_PER_HEARTBEAT } from '../poll/polled.js';
import { PolledSet } from '../poll/polledSet.js';
import { Service } from '../poll/service.js';
import { Waker } from '../poll/waker.js';

/** So often the presence of the other ends is looked at while nothing moves: no bell rings when a thread dies. */
const LOOK_MS = 250;

/** Ends of RingChannels that a thread polls together, as a client or server does with its connections. */
class EndSet implements Pollable {
  readonly waker = new Waker(defaultSharedDirectory());
  readonly service: Service;
  readonly #ends: readonly Connection[];
  readonly #polled: PolledSet;

  constructor(ends: readonly Connection[], handlers: ConnectionHandlers) {
    const { onMessage } = handlers;
    this.#ends = ends;
    this.#polled = new PolledSet({ shmConnections: ends.length }, this.waker, onMessage !== undefined);
    this.service = new Service(this.#polled, LOOK_MS * SWEEPS_PER_HEARTBEAT, {
      onMessage,
      ended: ({ side }) => {
        const { violation } = side.ends;
        if (violation !== null) throw violation;
        // What it has sent before comes first.
        if (!side.delivery.awaits(onMessage !== undefined)) side.tellGone(handlers);
      },
      threw: (_, error) => {
        throw error;
      },
    });
    for (const end of ends) this.#polled.add(end, 0);
  }

  get closed(): boolean {
    return this.#ends.every(({ state }) => state === 'closed');
  }

  get alive(): boolean {
    return this.#ends.some(({ state, side }) => state !== 'closed' && side.refed);
  }

  pollMessages(): boolean {
    return this.service.shm(0);
  }

  pollControl(now: number): void {
    this.#removeClosed();
    this.service.control(now);
  }

  park(): number {
    this.#removeClosed();
    return this.service.park(false);
  }

  close(): void {
    for (const end of this.#ends) this.#polled.remove(end);
    this.waker.close();
  }

  #removeClosed(): void {
    for (const { connection } of [...this.#polled]) {
      if (connection.state === 'closed') this.#polled.remove(connection);
    }
  }
}

/** Polls ends until stopped, or until all of them are closed; calls `over` then. */
export function driveEnds(
  ends: readonly Connection[],
  handlers: ConnectionHandlers,
  options: RunOptions,
  over: () => void,
): Run {
  const set = new EndSet(ends, handlers);
  const run = drive(set, options);
  const finish = (): void => {
    set.close();
    over();
  };
  run.then(finish, finish);
  return run;
}
