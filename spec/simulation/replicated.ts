import type { Role } from '../../lib/session/names.js';
import type { Segment } from '../../lib/session/segment.js';
import type { Random } from '../support/random.js';
import { SimulatedClient } from './client.js';
import { crashAt } from './crash.js';
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
  garble: 4,
} as const;
type Step = keyof typeof STEPS;

/** Rounds in which all must have arrived once nothing is broken any more. */
const ROUNDS_TO_HEAL = 400;

/** Two sides with a journal each, and a network between them that does what it likes. */
export class ReplicatedSchedule {
  readonly #random: Random;
  readonly #scene: Scene;
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #client: SimulatedClient;
  readonly #server: SimulatedServer;
  /** Steps of a side that may be its last, one in so many; 0 for none. */
  readonly #mortality: number;

  constructor(lib: Lib, random: Random, trace: Trace) {
    this.#random = random;
    const sizes = { clientToServer: random.pick(CAPACITIES), serverToClient: random.pick(CAPACITIES) };
    // Positions wrap at 2^32: half of the sessions begin near there.
    const start = (random.once(2) ? -random.below(32768) : random.below(32768)) & -8;
    this.#scene = new Scene(lib, random, trace, sizes, start);
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
    this.#mortality = random.pick([0, 4, 12, 40]);
  }

  run(): void {
    const random = this.#random;
    const { trace } = this.#scene;
    const steps = chooseSteps(random);
    this.#connect(12, 0);
    for (let left = random.between(30, 120); left > 0; left--) {
      const step = random.pick(steps);
      trace?.(`-- ${step}`);
      this.#step(step);
      this.#scene.rethrow();
      this.#judge();
    }
    this.#heal();
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
      case 'kill':
        this.#kill(side);
    }
  }

  /** Lets a side do something, during which it may die. */
  #act(side: Side, act: () => void): void {
    const random = this.#random;
    if (this.#mortality === 0 || !random.once(this.#mortality)) act();
    else if (crashAt(random.below(random.pick([8, 64, 512])), act)) this.#kill(side);
    side.endpoint.check();
  }

  #kill(side: Side): void {
    this.#scene.trace?.(`${side.endpoint.name} dies`);
    side.die(this.#random.pick(ENDINGS));
    this.#judge();
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
    judgeJournals(this.#client.journal, this.#server.journal, this.#toServer, this.#toClient);
  }

  /** Nothing fails any more: all messages arrive, and nothing is left of them. */
  #heal(): void {
    const { network, trace } = this.#scene;
    trace?.('-- heal');
    network.stall(false);
    network.cut();
    this.#drain(isAcknowledged);
    // What was allocated and not pushed goes with the next allocation.
    const largest = [this.#client, this.#server].map(({ endpoint }) => {
      const size = endpoint.connection?.maxMessageBytes ?? 0;
      return endpoint.push(size, true);
    });
    must(largest.every(Boolean), () => 'there is no room for the largest message in an empty queue');
    this.#drain(isClear);
    this.#judge();
  }

  #drain(isDone: (journal: Segment, role: Role) => boolean): void {
    const sides = [this.#client, this.#server];
    for (let round = 0; round < ROUNDS_TO_HEAL; round++) {
      this.#client.dial();
      this.#round(4, true);
      for (const { endpoint } of sides) {
        endpoint.publish();
        endpoint.pop(1000, true);
        endpoint.check();
      }
      if (this.#arrived && sides.every(({ journal, role }) => journal !== null && isDone(journal, role)))
        return;
    }
    must(
      false,
      () =>
        `not all has arrived after ${ROUNDS_TO_HEAL} rounds: ${this.#toServer.waiting} and ${this.#toClient.waiting}` +
        ` messages wait, ${sides.map(({ endpoint, attached }) => `the ${endpoint.name} is ${attached ? '' : 'not '}attached`).join(', ')}`,
    );
  }

  get #arrived(): boolean {
    const waiting = this.#toServer.waiting + this.#toClient.waiting;
    return waiting === 0 && this.#client.attached && this.#server.attached;
  }
}

/** Steps to choose from: each schedule has its own mixture, so that some go far without a fault of a kind. */
function chooseSteps(random: Random): Step[] {
  const steps: Step[] = [];
  for (const step of Object.keys(STEPS) as Step[]) {
    const most = STEPS[step];
    const count = step === 'garble' && !random.once(4) ? 0 : random.below(most + 1);
    for (let i = 0; i < count; i++) steps.push(step);
  }
  steps.push('exchange');
  return steps;
}
