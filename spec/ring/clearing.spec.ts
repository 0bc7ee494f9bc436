import { expect } from 'chai';
import { Clearing } from '../../lib/ring/clearing.js';
import { Random } from '../support/random.js';

const CAPACITY = 8 * 1024 * 1024;
const MESSAGE = 1024 * 1024;
const PER_LAP = CAPACITY / MESSAGE;

/** How long a message takes, by how its place was left a lap before. */
interface World {
  readonly cleared: number;
  readonly left: number;
}

const NEAR: World = { cleared: 39, left: 27 };
const FAR: World = { cleared: 66, left: 300 };

/** A consumer that reads large messages as fast as they come. */
class Reader {
  world: World;
  now = 0;
  #last = Array.from({ length: PER_LAP }, () => false);
  readonly #clearing = new Clearing(CAPACITY, () => this.now);

  constructor(world: World) {
    this.world = world;
  }

  /** Reads so many laps, and gives how long a message took, on average. */
  read(laps: number, disturbance: (message: number) => number = () => 0): number {
    const began = this.now;
    for (let i = 0; i < laps * PER_LAP; i++) {
      this.now += this.#last[i % PER_LAP] ? this.world.left : this.world.cleared;
      this.now += disturbance(i);
      this.#last[i % PER_LAP] = this.#clearing.leaves(MESSAGE);
    }
    return (this.now - began) / (laps * PER_LAP);
  }
}

describe('whether a consumer clears large records', () => {
  it('not where to leave them is faster', () => {
    const reader = new Reader(NEAR);
    expect(reader.read(16)).to.equal(NEAR.cleared);
    reader.read(16);
    expect(reader.read(3200)).to.be.within(NEAR.left, NEAR.left * 1.02);
  });

  it('where the producer is slow otherwise, and tries the other way for a few laps in a thousand', () => {
    const reader = new Reader(FAR);
    reader.read(32);
    expect(reader.read(3200)).to.be.within(FAR.cleared, FAR.cleared * 1.06);
  });

  it('where it makes no difference, as when messages come now and then', () => {
    const reader = new Reader({ cleared: 1000, left: 1000 });
    // Both trials, and the lap in which what they have left is written to.
    reader.read(33);
    reader.world = { cleared: 1000, left: 2000 };
    expect(reader.read(320)).to.equal(1000);
  });

  it('where messages come as they like, as that tells nothing', () => {
    const random = new Random(7);
    let left = 0;
    for (let i = 0; i < 200; i++) {
      const reader = new Reader({ cleared: 1, left: 0.5 });
      reader.read(33, () => random.below(1000) * random.below(20));
      reader.world = { cleared: 0, left: 1 };
      if (reader.read(10) > 0.5) left++;
    }
    expect(left).to.be.below(5);
  });

  it('follows a world that changes, soon where it has become much slower', () => {
    const reader = new Reader(NEAR);
    reader.read(100);
    reader.world = FAR;
    reader.read(32);
    expect(reader.read(320)).to.be.below(FAR.cleared * 1.1);
    reader.world = NEAR;
    reader.read(1100);
    expect(reader.read(3200)).to.be.below(NEAR.left * 1.02);
  });

  it('is not misled by interruptions of single laps', () => {
    for (const world of [NEAR, FAR]) {
      const reader = new Reader(world);
      // Two messages in a hundred wait for ten others.
      const disturbance = (i: number): number => (i % 50 === 0 ? 300 : 0);
      reader.read(32, disturbance);
      const best = Math.min(world.cleared, world.left);
      expect(reader.read(3200, disturbance)).to.be.below(best * 1.1 + 6);
    }
  });
});
