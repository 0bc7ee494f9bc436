import type { Role } from '../../lib/session/names.js';
import type { Segment } from '../../lib/session/segment.js';
import type { Random } from '../support/random.js';
import { SimulatedClient } from './client.js';
import { NOT, runUntil } from './crash.js';
import { Endpoint, type Trace } from './endpoint.js';
import type { Lib } from './instrumented.js';
import { isAcknowledged, isClear, judgeJournals } from './memory.js';
import { Direction, must } from './model.js';
import type { Ending } from './network.js';
import { Scene } from './scene.js';
import { SimulatedServer } from './server.js';

type Side = SimulatedClient | SimulatedServer;

const CAPACITIES = [4096, 4096, 4096, 4096, 4096, 4096, 8192, 16384];
const ENDINGS: readonly Ending[] = ['end', 'end', 'reset', 'silence'];
const POWER_ENDINGS: readonly Ending[] = ['reset', 'silence'];

/** What can happen, and how often at most, against the others. */
const STEPS = {
  push: 12,
  flood: 4,
  batch: 6,
  pop: 12,
  poll: 12,
  exchange: 16,
  deliver: 6,
  wait: 6,
  connect: 8,
  stall: 2,
  cut: 2,
  kill: 2,
  close: 1,
  move: 4,
  garble: 4,
} as const;
/** The same, where a journal is on a disk. */
const DISK_STEPS = { work: 16, flush: 6, power: 2, outage: 2, relapse: 2 } as const;
type Step = keyof typeof STEPS | keyof typeof DISK_STEPS;

/** One in so many schedules has journals on disks. */
const ON_DISK = 4;
const DISKS = [
  { client: true, server: true },
  { client: true, server: true },
  { client: true, server: false },
  { client: false, server: true },
];
const NO_DISKS = { client: false, server: false };

/** Rounds in which all must have arrived once nothing is broken any more. */
const ROUNDS_TO_HEAL = 400;

/** Two sides with a journal each, a network between them that does what it likes, and perhaps disks behind them. */
export class ReplicatedSchedule {
  readonly #random: Random;
  readonly #scene: Scene;
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #client: SimulatedClient;
  readonly #server: SimulatedServer;
  readonly #sides: readonly Side[];
  /** Steps of a side that may be its last, one in so many; 0 for none. */
  readonly #mortality: number;

  constructor(lib: Lib, random: Random, trace: Trace) {
    this.#random = random;
    const sizes = { clientToServer: random.pick(CAPACITIES), serverToClient: random.pick(CAPACITIES) };
    // Positions wrap at 2^32: half of the sessions begin near there.
    const start = (random.once(2) ? -random.below(32768) : random.below(32768)) & -8;
    const disks = random.once(ON_DISK) ? random.pick(DISKS) : NO_DISKS;
    this.#scene = new Scene(lib, random, trace, sizes, disks, start);
    this.#toServer = new Direction('client to server', random.next());
    this.#toClient = new Direction('server to client', random.next());
    this.#client = new SimulatedClient(
      this.#scene,
      new Endpoint('client', this.#toServer, this.#toClient, random, trace),
    );
    this.#server = new SimulatedServer(
      this.#scene,
      new Endpoint('server', this.#toClient, this.#toServer, random, trace),
    );
    this.#sides = [this.#client, this.#server];
    this.#mortality = random.pick([0, 4, 12, 40]);
  }

  async run(): Promise<void> {
    const random = this.#random;
    const { trace, disks } = this.#scene;
    const onDisk = disks.client || disks.server;
    const steps = chooseSteps(random, onDisk);
    this.#connect(12, 0);
    for (let left = random.between(30, 120); left > 0; left--) {
      const step = random.pick(steps);
      trace?.(`-- ${step}`);
      this.#step(step);
      this.#scene.rethrow();
      this.#judge();
      if (onDisk) await this.#promises();
    }
    await this.#heal();
    this.#scene.network.release();
  }

  #step(step: Step): void {
    const random = this.#random;
    const { network } = this.#scene;
    const side: Side = random.once(2) ? this.#client : this.#server;
    switch (step) {
      case 'push':
        this.#act(side, () => {
          for (let i = random.between(1, 6); i > 0 && side.endpoint.push(); i--);
        });
        break;
      case 'flood':
        this.#act(side, () => {
          while (side.endpoint.push(random.below(64)));
        });
        break;
      case 'batch':
        this.#act(side, () => {
          side.endpoint.batch(random.between(1, 6));
          if (random.once(2)) side.endpoint.publish();
        });
        break;
      case 'pop':
        this.#act(side, () => side.endpoint.pop(random.between(1, 12)));
        break;
      case 'poll':
        this.#act(side, () => side.poll());
        break;
      case 'exchange':
        for (let i = random.between(1, 4); i > 0; i--) this.#round(random.below(8), false);
        break;
      case 'deliver':
        network.deliver(random.once(2));
        break;
      case 'wait':
        this.#scene.now += random.once(6) ? random.below(200) : random.below(30);
        break;
      case 'connect':
        this.#connect(random.between(1, 12), 20);
        break;
      case 'stall':
        network.stall(random.once(2));
        break;
      case 'cut':
        network.cut();
        break;
      case 'garble':
        network.garble();
        break;
      case 'close':
        this.#act(side, () => side.close());
        break;
      case 'move':
        this.#act(side, () => side.move());
        break;
      case 'kill':
        this.#kill(side);
        break;
      case 'work':
        for (let i = random.between(1, 3); i > 0; i--) this.#work(side);
        break;
      case 'flush':
        this.#act(side, () => side.endpoint.flush());
        break;
      case 'power':
        this.#losePower(side);
        if (random.once(4)) this.#losePower(this.#otherThan(side));
        break;
      case 'outage':
        this.#bustle(random.between(2, 16));
        this.#losePower(side);
        break;
      case 'relapse':
        this.#kill(side);
        if (side.journal?.file) side.journal.file.diesInSync = true;
    }
  }

  /** Lets a side do something, during which it may die. */
  #act(side: Side, act: () => void): void {
    const random = this.#random;
    const file = side.journal?.file ?? null;
    const dies = this.#mortality !== 0 && random.once(this.#mortality);
    // A disk is at work meanwhile.
    const works = file !== null && random.once(4);
    if (!dies && !works && !file?.diesInSync) act();
    else {
      const reach = random.pick([8, 64, 512]);
      const dieAt = dies ? random.below(reach) : NOT;
      const workAt = works ? random.below(reach) : NOT;
      if (runUntil(dieAt, workAt, () => file?.work(), act)) {
        if (this.#scene.disks[side.role] && random.once(2)) this.#losePower(side);
        else this.#kill(side);
      }
    }
    side.endpoint.check();
  }

  /** The disk of a side does something, or its process hears of it. */
  #work(side: Side): void {
    const file = side.journal?.file ?? null;
    if (file === null) return;
    if (this.#random.once(2)) file.work();
    else this.#act(side, () => file.turn());
  }

  #kill(side: Side): void {
    this.#scene.trace?.(`${side.endpoint.name} dies`);
    side.die(this.#random.pick(ENDINGS));
    this.#judge();
  }

  /** A side loses its power, where that does not end the session. */
  #losePower(side: Side): void {
    if (!this.#scene.disks[side.role]) return;
    this.#scene.trace?.(`${side.endpoint.name} loses power`);
    // What the other side has got by now must be there afterwards.
    this.#judge();
    side.journal?.losePower();
    side.endpoint.losesPower();
    side.die(this.#random.pick(POWER_ENDINGS));
    this.#judge();
  }

  #otherThan(side: Side): Side {
    return side === this.#client ? this.#server : this.#client;
  }

  /** Messages, acknowledgements and writes are all on their way at once. */
  #bustle(rounds: number): void {
    const random = this.#random;
    for (let i = rounds; i > 0; i--) {
      for (const side of this.#sides) {
        if (random.once(2)) this.#act(side, () => side.endpoint.push(random.below(64)));
        if (random.once(2)) this.#act(side, () => side.endpoint.pop(random.between(1, 12)));
        if (random.once(2)) this.#work(side);
      }
      this.#round(random.below(8), false);
    }
  }

  /** Who waits for something that has happened is told. */
  async #promises(): Promise<void> {
    await null;
    for (const { endpoint } of this.#sides) endpoint.check();
  }

  /** Each side has its turn. */
  #round(ms: number, healing: boolean): void {
    const { network } = this.#scene;
    const turn = healing ? (_: Side, act: () => void): void => act() : this.#act.bind(this);
    turn(this.#client, () => this.#client.poll());
    network.deliver(healing);
    turn(this.#server, () => this.#server.poll());
    network.deliver(healing);
    this.#scene.now += ms;
    this.#scene.rethrow();
  }

  /** Tries to connect, for some rounds of up to so many milliseconds. */
  #connect(rounds: number, ms: number): void {
    for (let i = 0; i < rounds && !(this.#client.attached && this.#server.attached); i++) {
      this.#client.dial();
      this.#round(ms === 0 ? 0 : this.#random.below(ms), false);
    }
  }

  #judge(): void {
    const [a, b] = [this.#client.journal?.segment ?? null, this.#server.journal?.segment ?? null];
    judgeJournals(a, b, this.#toServer, this.#toClient);
  }

  /** Nothing fails any more: all messages arrive, and nothing is left of them. */
  async #heal(): Promise<void> {
    const { network, trace, disks } = this.#scene;
    trace?.('-- heal');
    network.stall(false);
    network.cut();
    for (const { journal } of this.#sides) if (journal?.file) journal.file.diesInSync = false;
    await this.#drain((side) => isDone(side, isAcknowledged));
    // What was allocated and not pushed goes with the next allocation.
    const pushed = new Set<Side>();
    await this.#drain((side) => {
      const { endpoint, role } = side;
      if (!pushed.has(side) && endpoint.push(endpoint.connection?.maxMessageBytes ?? 0, true))
        pushed.add(side);
      // With a disk there is room when the acknowledgements are safe, which the push has asked for.
      must(
        pushed.has(side) || disks[role],
        () => 'there is no room for the largest message in an empty queue',
      );
      return pushed.has(side) && isDone(side, isAcknowledged);
    });
    for (const side of this.#sides) {
      if (!disks[side.role]) continue;
      // What is acknowledged is cleared by one of the next writes, or now.
      if (this.#random.once(2)) this.#losePower(side);
      else side.die('end');
    }
    await this.#drain((side) => isDone(side, isClear));
    this.#judge();
  }

  /** Goes on until all has arrived, was flushed, and each side is done. */
  async #drain(done: (side: Side) => boolean): Promise<void> {
    const { disks } = this.#scene;
    for (let round = 0; round < ROUNDS_TO_HEAL; round++) {
      this.#client.dial();
      this.#round(4, true);
      for (const { endpoint, journal, role } of this.#sides) {
        endpoint.publish();
        endpoint.pop(1000, true);
        if (disks[role]) {
          endpoint.flush();
          journal?.file?.finish();
          journal?.file?.turn();
          await this.#promises();
        }
        endpoint.check();
      }
      const flushed = this.#sides.every(({ endpoint }) => endpoint.flushed);
      if (this.#arrived && flushed && this.#sides.map(done).every(Boolean)) return;
    }
    const waiting = `${this.#toServer.waiting} and ${this.#toClient.waiting} messages wait`;
    const sides = this.#sides.map(({ endpoint: { name, flushed }, attached }) => {
      return `the ${name} is ${attached ? '' : 'not '}attached${flushed ? '' : ' and waits for a flush'}`;
    });
    must(false, () => `not all has arrived after ${ROUNDS_TO_HEAL} rounds: ${waiting}, ${sides.join(', ')}`);
  }

  get #arrived(): boolean {
    const waiting = this.#toServer.waiting + this.#toClient.waiting;
    return waiting === 0 && this.#client.attached && this.#server.attached;
  }
}

function isDone({ journal, role }: Side, isIt: (segment: Segment, role: Role) => boolean): boolean {
  const segment = journal?.segment ?? null;
  return segment !== null && isIt(segment, role);
}

/** Steps to choose from: each schedule has its own mixture, so that some go far without a fault of a kind. */
function chooseSteps(random: Random, onDisk: boolean): Step[] {
  const steps: Step[] = [];
  const most: Partial<Record<Step, number>> = onDisk ? { ...STEPS, ...DISK_STEPS } : STEPS;
  for (const step of Object.keys(most) as Step[]) {
    const count = step === 'garble' && !random.once(4) ? 0 : random.below((most[step] as number) + 1);
    for (let i = 0; i < count; i++) steps.push(step);
  }
  steps.push('exchange');
  return steps;
}
