import { expect } from 'chai';
import { Random, randomSeed } from './random.js';
import { SimulatedDisk } from './simulatedDisk.js';

const PAGE = 4096;
const PAGES = 8;

/** Some pages of memory, each filled with a byte, and the disk that has them so. */
function begin(seed: number, sectorBytes?: number): { memory: Uint8Array; disk: SimulatedDisk } {
  const memory = new Uint8Array(PAGES * PAGE);
  return { memory, disk: new SimulatedDisk(memory.buffer, new Random(seed), sectorBytes) };
}

/** The byte that fills each page; null for one that has several. */
function contents(buffer: ArrayBufferLike): (number | null)[] {
  return Array.from({ length: PAGES }, (_, page) => {
    const bytes = new Uint8Array(buffer, page * PAGE, PAGE);
    return bytes.every((byte) => byte === bytes[0]) ? (bytes[0] as number) : null;
  });
}

describe('the simulated disk', () => {
  const seed = randomSeed();
  const times = 200;
  /** What is seen of page 3 in many runs. */
  const seen = (run: (seed: number) => (number | null)[]): Set<number | null> =>
    new Set(Array.from({ length: times }, (_, i) => run(seed + i)[3] as number | null));

  it('knows the pages that it has not', () => {
    const { memory, disk } = begin(seed);
    expect(disk.dirty).to.deep.equal([]);
    memory[PAGE] = 1;
    memory[5 * PAGE - 1] = 1;
    expect(disk.dirty).to.deep.equal([1, 4]);
    disk.beginSync().finish();
    expect(disk.dirty).to.deep.equal([]);
  });

  it(`has old or new of a page that was never synced, each at times (seed ${seed})`, () => {
    const found = seen((each) => {
      const { memory, disk } = begin(each);
      memory.fill(1);
      return contents(disk.losePower());
    });
    expect([...found]).to.have.members([0, 1]);
  });

  it(`writes pages of its own accord, each as it is at that moment (seed ${seed})`, () => {
    const found = seen((each) => {
      const { memory, disk } = begin(each);
      memory.fill(1);
      disk.writeBack();
      memory.fill(2);
      return contents(disk.losePower());
    });
    expect([...found]).to.have.members([0, 1, 2]);
  });

  it(`loses nothing that was stored before a sync that is finished (seed ${seed})`, () => {
    const found = seen((each) => {
      const { memory, disk } = begin(each);
      memory.fill(1);
      const sync = disk.beginSync();
      sync.progress();
      memory.fill(2);
      sync.finish();
      expect(sync.finished).to.equal(true);
      memory.fill(3);
      return contents(disk.losePower());
    });
    expect([...found]).to.have.members([1, 2, 3]);
  });

  it(`promises nothing of a sync that is under way, nor of what is stored after its begin (seed ${seed})`, () => {
    const underWay = seen((each) => {
      const { memory, disk } = begin(each);
      memory.fill(1);
      disk.beginSync().progress();
      memory.fill(2);
      return contents(disk.losePower());
    });
    expect([...underWay]).to.have.members([0, 1, 2]);
    const after = seen((each) => {
      const { memory, disk } = begin(each);
      const sync = disk.beginSync();
      memory.fill(1);
      sync.finish();
      return contents(disk.losePower());
    });
    expect([...after]).to.have.members([0, 1]);
  });

  it(`tears pages between sectors where a page is not written as a whole (seed ${seed})`, () => {
    const torn = seen((each) => {
      const { memory, disk } = begin(each, 512);
      memory.fill(1);
      const found = disk.losePower();
      for (let at = 0; at < found.byteLength; at += 512) {
        expect(new Set(new Uint8Array(found, at, 512)).size).to.equal(1);
      }
      return contents(found);
    });
    expect([...torn]).to.have.members([0, 1, null]);
  });

  it('leaves the memory of the process alone', () => {
    const { memory, disk } = begin(seed);
    memory.fill(1);
    const found = new Uint8Array(disk.losePower());
    found.fill(7);
    expect(contents(memory.buffer)).to.deep.equal(Array(PAGES).fill(1));
  });
});
