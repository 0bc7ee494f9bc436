import { expect } from 'chai';
import { TcpshmError } from '../../lib/errors.js';
import type { Lane } from '../../lib/messaging/destinationLanes.js';
import { type Decision, DestinationPlan, type PlanLimits } from '../../lib/messaging/destinationPlan.js';
import type { DeliveryMode } from '../../lib/messaging/destinationQueue.js';
import { type BackoffSettings, backoffSettings } from '../../lib/session/backoff.js';
import { expectCode } from '../support/failure.js';
import { Random, randomSeed } from '../support/random.js';
import { World } from './destinationWorld.js';

const SCHEDULES = 3000;
const MODES: readonly DeliveryMode[] = [
  {},
  { oneShot: true },
  { idempotent: true },
  { synchronous: true },
  { synchronous: true, idempotent: true },
];

function limits(some: Partial<PlanLimits> = {}): PlanLimits {
  return {
    minConnections: 1,
    maxConnections: 4,
    maxPending: 2,
    maxInFlight: 2,
    maxQueue: 1000,
    idleMs: 1000,
    resumeMs: 500,
    resolveMs: 10_000,
    spread: false,
    backoff: backoffSettings({ initialDelayMs: 10, maxDelayMs: 100, jitter: 0 }) as BackoffSettings,
    ...some,
  };
}

/** A plan, and what it has decided: by its words, in their order. */
class Scene {
  now = 0;
  readonly plan: DestinationPlan<string>;
  readonly decisions: Decision<string>[] = [];
  readonly words: string[] = [];

  constructor(some: Partial<PlanLimits> = {}) {
    this.plan = new DestinationPlan<string>(limits(some), () => 0);
  }

  /** What the plan wants now, in words that are new. */
  look(laterMs = 0): string[] {
    this.now += laterMs;
    const from = this.words.length;
    for (let d = this.plan.next(this.now); d !== null; d = this.plan.next(this.now)) {
      this.decisions.push(d);
      this.words.push(word(d));
    }
    return this.words.slice(from);
  }

  lane(number: number): Lane<string> {
    const found = [...this.plan.lanes].find((lane) => lane.number === number);
    if (found === undefined) throw new Error(`no connection has the number ${number}`);
    return found;
  }

  /** With addresses, and as many connections as were asked for at once. */
  up(addresses: readonly string[] = ['a']): void {
    this.look();
    this.plan.resolved(addresses, this.now);
    this.look();
    for (const lane of [...this.plan.lanes])
      if (lane.state === 'pending') this.plan.connected(lane, this.now);
  }
}

function word(d: Decision<string>): string {
  if (d.kind === 'resolve' || d.kind === 'closed') return d.kind;
  if (d.kind === 'connect') return `connect ${d.lane.number} to ${d.lane.address}`;
  if (d.kind === 'resume') return `resume ${d.lane.number}`;
  if (d.kind === 'retire') return `${d.remove ? 'remove' : 'close'} ${d.lane.number}`;
  if (d.kind === 'fail') return `fail ${d.ticket.item}: ${d.error.code}`;
  return `${d.kind} ${d.ticket.item} over ${d.lane.number}`;
}

const REFUSED = new TcpshmError('ERR_CONNECT', 'nobody listens');

describe('the plan of a pool of connections', () => {
  describe('its size', () => {
    it('keeps the fewest connections, and makes more as messages wait, up to the most', () => {
      const scene = new Scene({ maxConnections: 3 });
      scene.up();
      expect(scene.look()).to.deep.equal([]);
      for (let i = 1; i <= 9; i++) scene.plan.submit(`${i}`, {});
      expect(scene.look()).to.deep.equal([
        'send 1 over 0',
        'send 2 over 0',
        'connect 1 to a',
        'connect 2 to a',
      ]);
      for (const number of [1, 2]) scene.plan.connected(scene.lane(number), scene.now);
      expect(scene.look()).to.deep.equal([
        'send 3 over 1',
        'send 4 over 2',
        'send 5 over 1',
        'send 6 over 2',
      ]);
      expect(scene.plan.queued).to.equal(3);
    });

    it('makes only so many at a time, of a hundred addresses', () => {
      const scene = new Scene({ maxConnections: 50, maxPending: 3 });
      scene.look();
      scene.plan.resolved(
        Array.from({ length: 100 }, (_, i) => `host${i}`),
        0,
      );
      for (let i = 0; i < 500; i++) scene.plan.submit(`${i}`, {});
      expect(scene.look()).to.deep.equal(['connect 0 to host0', 'connect 1 to host1', 'connect 2 to host2']);
      scene.plan.connected(scene.lane(1), 0);
      // The others go where one has been reached.
      expect(scene.look().filter((line) => line.startsWith('connect'))).to.deep.equal(['connect 3 to host1']);
    });

    it('goes to different addresses when it is to spread', () => {
      const scene = new Scene({ spread: true, maxPending: 1 });
      scene.up(['a', 'b', 'c']);
      for (let i = 0; i < 9; i++) scene.plan.submit(`${i}`, {});
      const places: string[] = [];
      for (let i = 1; i <= 3; i++) {
        places.push(...scene.look().filter((line) => line.startsWith('connect')));
        scene.plan.connected(scene.lane(i), scene.now);
      }
      expect(places).to.deep.equal(['connect 1 to b', 'connect 2 to c', 'connect 3 to a']);
    });

    it('closes what has been idle, the highest number first, and reuses the lowest that is free', () => {
      const scene = new Scene();
      scene.up();
      const tickets = Array.from({ length: 6 }, (_, i) => scene.plan.submit(`${i}`, {}));
      scene.look();
      for (const number of [1, 2]) scene.plan.connected(scene.lane(number), scene.now);
      scene.look();
      for (const ticket of tickets) scene.plan.settled(ticket, scene.now);
      expect(scene.look(999)).to.deep.equal([]);
      expect(scene.plan.restMs(scene.now)).to.equal(1);
      expect(scene.look(1)).to.deep.equal(['close 2', 'close 1']);
      expect(scene.look(100_000)).to.deep.equal([]);
      for (let i = 0; i < 3; i++) scene.plan.submit(`again ${i}`, {});
      expect(scene.look()).to.include('connect 1 to a');
    });

    it('closes the last one too, where none is to stay', () => {
      const scene = new Scene({ minConnections: 0 });
      expect(scene.look()).to.deep.equal([]);
      const ticket = scene.plan.submit('one', {});
      scene.up();
      scene.look();
      scene.plan.settled(ticket, scene.now);
      expect(scene.look(1000)).to.deep.equal(['close 0']);
      expect(scene.plan.restMs(scene.now)).to.equal(Number.POSITIVE_INFINITY);
    });
  });

  describe('its attempts', () => {
    it('come later each time, and go to one address after the other', () => {
      const scene = new Scene({ maxPending: 1 });
      scene.look();
      scene.plan.resolved(['a', 'b', 'c'], 0);
      const tried: string[] = [];
      const delays: number[] = [];
      for (let i = 0; i < 6; i++) {
        scene.look();
        tried.push(scene.lane(0).address);
        scene.plan.refused(scene.lane(0), REFUSED, scene.now);
        const restMs = scene.plan.restMs(scene.now);
        delays.push(restMs);
        if (scene.look(restMs).includes('resolve')) scene.plan.resolved(['a', 'b', 'c'], scene.now);
      }
      expect(tried).to.deep.equal(['a', 'b', 'c', 'a', 'b', 'c']);
      expect(delays).to.deep.equal([10, 20, 40, 80, 100, 100]);
    });

    it('go on growing while a server takes connections and ends them at once', () => {
      const scene = new Scene({ maxPending: 1 });
      scene.up();
      const delays: number[] = [];
      for (let i = 0; i < 4; i++) {
        scene.plan.ended(scene.lane(0), scene.now);
        scene.look();
        delays.push(scene.plan.restMs(scene.now));
        scene.look(scene.plan.restMs(scene.now));
        scene.plan.resolved(['a'], scene.now);
        scene.look();
        scene.plan.connected(scene.lane(0), scene.now);
      }
      expect(delays).to.deep.equal([10, 20, 40, 80]);
    });

    it('ask for the addresses again when all have failed, and when they are old', () => {
      const scene = new Scene({ maxPending: 1 });
      scene.look();
      scene.plan.resolved(['a'], 0);
      scene.look();
      scene.plan.refused(scene.lane(0), REFUSED, 0);
      expect(scene.look(10)).to.deep.equal(['resolve', 'connect 0 to a']);
      scene.plan.resolved(['b'], scene.now);
      scene.plan.connected(scene.lane(0), scene.now);
      scene.look(10_001);
      for (let i = 0; i < 3; i++) scene.plan.submit(`${i}`, {});
      expect(scene.look()).to.include('resolve');
    });

    it('take the next number where one is in use or its session cannot go on, without a delay', () => {
      const scene = new Scene();
      scene.look();
      scene.plan.resolved(['a'], 0);
      expect(scene.look()).to.deep.equal(['connect 0 to a']);
      scene.plan.refused(scene.lane(0), new TcpshmError('ERR_SEQUENCE_MISMATCH', 'numbers'), 0);
      expect(scene.look()).to.deep.equal(['connect 1 to a']);
      scene.plan.refused(scene.lane(1), new TcpshmError('ERR_ALREADY_CONNECTED', 'live'), 0);
      expect(scene.look()).to.deep.equal(['connect 2 to a']);
    });

    it('are given up after the last that is allowed: what waits fails, and the next message begins anew', () => {
      const backoff = backoffSettings({ initialDelayMs: 10, jitter: 0, maxAttempts: 2 }) as BackoffSettings;
      const scene = new Scene({ backoff });
      scene.plan.submit('one', {});
      scene.up();
      scene.plan.ended(scene.lane(0), 0);
      for (let i = 0; i < 2; i++) {
        scene.look(1000);
        scene.plan.resolved(['a'], scene.now);
        scene.look();
        scene.plan.refused(scene.lane(0), REFUSED, scene.now);
      }
      expect(scene.look()).to.deep.equal(['fail one: ERR_CONNECT']);
      expect(scene.plan.restMs(scene.now)).to.equal(Number.POSITIVE_INFINITY);
      scene.plan.submit('two', {});
      expect(scene.look(1000)).to.include('connect 0 to a');
    });
  });

  describe('its promises', () => {
    it('a one-shot that cannot go out now fails at once; all else waits', () => {
      const scene = new Scene();
      scene.plan.submit('plain', {});
      scene.plan.submit('shot', { oneShot: true });
      expect(scene.look()).to.deep.equal(['resolve', 'fail shot: ERR_NOT_SENT']);
      scene.plan.resolved(['a'], 0);
      scene.look();
      scene.plan.connected(scene.lane(0), 0);
      scene.plan.submit('second shot', { oneShot: true });
      expect(scene.look()).to.deep.equal(['send plain over 0', 'send second shot over 0']);
    });

    it('synchronous ones go one after another over the main connection, and hold up no other', () => {
      const scene = new Scene();
      scene.up();
      const first = scene.plan.submit('first', { synchronous: true });
      scene.plan.submit('second', { synchronous: true });
      scene.plan.submit('plain', {});
      expect(scene.look()).to.deep.equal(['send first over 0', 'send plain over 0']);
      scene.plan.settled(first, scene.now);
      expect(scene.look()).to.deep.equal(['send second over 0']);
    });

    it('what is in flight waits for its server to come back, and nothing is sent again', () => {
      const scene = new Scene();
      scene.up(['a', 'b']);
      for (const [name, mode] of [
        ['plain', {}],
        ['again', { idempotent: true }],
      ] as const) {
        scene.plan.submit(name, mode).left = true;
        scene.look();
      }
      for (const ticket of scene.lane(0).inFlight) ticket.left = true;
      scene.plan.ended(scene.lane(0), scene.now);
      expect(scene.look(10)).to.include('resume 0');
      scene.plan.refused(scene.lane(0), REFUSED, scene.now);
      expect(scene.look(20)).to.include('resume 0');
      scene.plan.connected(scene.lane(0), scene.now);
      expect(scene.look()).to.deep.equal([]);
      expect(scene.lane(0).inFlight.size).to.equal(2);
    });

    it('when the server does not come back, only what may run twice is sent to another one', () => {
      const scene = new Scene({ maxInFlight: 4 });
      scene.up(['a', 'b']);
      for (const [i, mode] of MODES.entries()) scene.plan.submit(`${i}`, mode);
      scene.look();
      for (const ticket of scene.lane(0).inFlight) ticket.left = ticket.item !== '0';
      scene.plan.ended(scene.lane(0), scene.now);
      expect(scene.look()).to.include('recall 0 over 0');
      const late = scene.look(500);
      expect(late.slice(0, 3)).to.deep.equal([
        'remove 0',
        'fail 3: ERR_UNANSWERED',
        'fail 1: ERR_UNANSWERED',
      ]);
      const other = [...scene.plan.lanes].find(({ address }) => address === 'b') as Lane<string>;
      scene.plan.connected(other, scene.now);
      expect(
        scene
          .look()
          .filter((line) => line.startsWith('send'))
          .sort(),
      ).to.deep.equal(['0', '2', '4'].map((name) => `send ${name} over ${other.number}`));
    });

    it('a session that the server knows nothing of any more is given up at once', () => {
      const scene = new Scene();
      scene.up();
      scene.plan.submit('again', { idempotent: true });
      scene.look();
      for (const ticket of scene.lane(0).inFlight) ticket.left = true;
      scene.plan.ended(scene.lane(0), scene.now);
      scene.look(10);
      scene.plan.refused(scene.lane(0), new TcpshmError('ERR_SEQUENCE_MISMATCH', 'numbers'), scene.now);
      expect(scene.look()[0]).to.equal('remove 0');
    });

    it('one that comes back goes before those that were given after it', () => {
      const scene = new Scene({ maxInFlight: 1, maxConnections: 1 });
      scene.up();
      const first = scene.plan.submit('first', { idempotent: true });
      scene.plan.submit('second', {});
      scene.look();
      first.left = true;
      scene.plan.returned(first, scene.now);
      expect(scene.look()).to.deep.equal(['send first over 0']);
    });

    it('more than may wait are refused', () => {
      const scene = new Scene({ maxQueue: 2 });
      scene.plan.submit('1', {});
      scene.plan.submit('2', {});
      expectCode(() => scene.plan.submit('3', {}), 'ERR_QUEUE_FULL', /2 messages/);
      expect(scene.plan.queued).to.equal(2);
    });
  });

  describe('its end', () => {
    it('by force: every message fails once, and no session is left with what could still run', () => {
      const scene = new Scene({ maxInFlight: 1, maxConnections: 2, maxPending: 2 });
      scene.up();
      for (let i = 0; i < 4; i++) scene.plan.submit(`${i}`, {});
      scene.look();
      scene.plan.connected(scene.lane(1), scene.now);
      scene.look();
      for (const ticket of scene.lane(0).inFlight) ticket.left = true;
      scene.plan.close(true, scene.now);
      expect(scene.look()).to.deep.equal([
        'remove 0',
        'fail 0: ERR_CLOSED',
        'close 1',
        'fail 1: ERR_CLOSED',
        'fail 2: ERR_CLOSED',
        'fail 3: ERR_CLOSED',
        'closed',
      ]);
      scene.plan.close(true, scene.now);
      expect(scene.look(100_000)).to.deep.equal([]);
    });

    it('by draining: what there is goes out, over new connections if need be; what is new is refused', () => {
      const scene = new Scene();
      const ticket = scene.plan.submit('one', {});
      scene.plan.close(false, 0);
      expectCode(() => scene.plan.submit('two', {}), 'ERR_CLOSED');
      scene.up();
      expect(scene.look()).to.deep.equal(['send one over 0']);
      scene.plan.settled(ticket, scene.now);
      expect(scene.look()).to.deep.equal(['close 0', 'closed']);
    });
  });

  const base = randomSeed();
  describe(`in ${SCHEDULES} schedules of servers that die and links that are cut (from seed ${base})`, () => {
    it('settles every message once, as its mode promises, and stays within its limits', () => {
      const reached = { answered: 0, ERR_UNANSWERED: 0, ERR_NOT_SENT: 0, cancelled: 0, twice: 0, aside: 0 };
      for (let i = 0; i < SCHEDULES; i++) {
        const seed = (base + i) >>> 0;
        const world = schedule(seed);
        for (const { outcome, runs } of world.letters) {
          if (outcome !== null && outcome in reached) reached[outcome as keyof typeof reached]++;
          if (runs > 1) reached.twice++;
        }
        if (world.trace.some((line) => / retire [0-9]+ true/.test(line))) reached.aside++;
      }
      for (const [what, times] of Object.entries(reached)) expect(times, what).to.be.above(SCHEDULES / 100);
    }).timeout(300_000);

    it('repeats a schedule from its seed alone', () => {
      for (let i = 0; i < 20; i++) expect(schedule(base + i).trace).to.deep.equal(schedule(base + i).trace);
    });
  });
});

/** A schedule: throws, with its seed and what happened, when something is not as it must be. */
function schedule(seed: number): World {
  const random = new Random(seed);
  const world = new World(
    limits({
      minConnections: random.below(2),
      maxConnections: random.between(1, 4),
      maxPending: random.between(1, 2),
      maxInFlight: random.between(1, 3),
      resumeMs: random.between(10, 500),
      idleMs: random.between(10, 500),
      spread: random.once(2),
    }),
    random.between(1, 3),
    random,
  );
  try {
    for (let i = 0; i < 200; i++) {
      if (random.once(4)) world.submit(random.pick(MODES));
      if (random.once(20)) world.cancelOne();
      world.step();
    }
    if (random.once(2)) world.close(random.once(2));
    for (let i = 0; i < 20_000 && world.unsettled.length > 0; i++) world.step(true);
    if (world.unsettled.length > 0) throw new Error(`${world.unsettled.length} messages are not settled`);
    world.close(false);
    for (let i = 0; i < 20_000 && !world.closed; i++) world.step(true);
    if (!world.closed) throw new Error('it does not end');
    return world;
  } catch (error) {
    const end = world.trace.slice(-40).join('\n');
    throw new Error(`seed ${seed}: ${(error as Error).message}\n${end}`);
  }
}
