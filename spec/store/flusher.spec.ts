import { expect } from 'chai';
import { TcpshmError } from '../../lib/errors.js';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { Checkpoints } from '../../lib/session/checkpoint.js';
import { Durability } from '../../lib/session/durability.js';
import { formatSegment, type Identity, Segment, segmentBytes } from '../../lib/session/segment.js';
import { type Disk, Flusher } from '../../lib/store/flusher.js';
import { expectCode } from '../support/failure.js';

const IDENTITY: Identity = {
  client: 'alice',
  server: 'bob',
  sessionId: '0123456789abcdef',
  bootId: '',
  clientToServer: 1 << 20,
  serverToClient: 4096,
  journal: true,
};

/** A disk whose writes end when the spec says so, and how. */
class SlowDisk implements Disk {
  readonly begun: { readonly done: Int32Array; readonly finished: () => void }[] = [];
  refusal: Error | null = null;
  /** Syncs that pages were handed over for, by their number. */
  readonly handedOver: number[] = [];
  unable = false;
  #syncs = 0;

  sync(done: Int32Array, finished: () => void): void {
    if (this.refusal !== null) throw this.refusal;
    this.begun.push({ done, finished });
    this.#syncs++;
  }
  syncNow(): void {}
  writeOut(): void {
    this.handedOver.push(this.#syncs);
    if (this.unable) throw new Error('no such call');
  }

  /** The system call of the oldest write ends; the event loop hears of it later, if `told`. */
  end(errno = 0, told = false): void {
    const write = this.begun.shift() as (typeof this.begun)[number];
    Atomics.store(write.done, 0, errno);
    if (told) write.finished();
  }
}

function scene(): {
  disk: SlowDisk;
  flusher: Flusher;
  durability: Durability;
  push: (sizeBytes?: number) => void;
} {
  const buffer = new ArrayBuffer(segmentBytes(IDENTITY));
  formatSegment(buffer, IDENTITY);
  const segment = new Segment(buffer, IDENTITY);
  const outgoing = segment.clientToServer;
  const incoming = segment.serverToClient;
  const producer = new RingProducer(outgoing);
  const ends = {
    outgoing,
    producer,
    acknowledger: new RingConsumer(outgoing),
    incoming,
    consumer: new RingConsumer(incoming),
  };
  const pages = segment.checkpoints as readonly [Int32Array, Int32Array];
  const durability = new Durability(ends, new Checkpoints(pages, outgoing));
  const disk = new SlowDisk();
  const push = (sizeBytes = 8): void => {
    producer.claim(sizeBytes);
    producer.push();
  };
  return { disk, durability, flusher: new Flusher(durability, disk, 'the journal'), push };
}

/** What became of a promise by now. */
function watch(promise: Promise<void>): { readonly outcome: () => string | Error } {
  let outcome: string | Error = 'pending';
  promise.then(
    () => {
      outcome = 'resolved';
    },
    (error: Error) => {
      outcome = error;
    },
  );
  return { outcome: () => outcome };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the flusher of a journal', () => {
  it('has nothing to write while nothing was pushed or popped', async () => {
    const { disk, flusher } = scene();
    flusher.poll();
    await flusher.flush();
    expect(disk.begun).to.have.length(0);
  });

  it('writes what was pushed with the next poll, once, and takes note of its end by polling alone', () => {
    const { disk, durability, flusher, push } = scene();
    push();
    const before = durability.published;
    flusher.poll();
    flusher.poll();
    expect(disk.begun).to.have.length(1);
    expect(durability.published).to.equal(before);
    disk.end();
    flusher.poll();
    expect(durability.published).to.equal(before + 16);
    expect(disk.begun).to.have.length(0);
  });

  it('resolves a flush when the event loop hears of the end, without any poll', async () => {
    const { disk, flusher, push } = scene();
    push();
    const flushed = watch(flusher.flush());
    await turn();
    expect(flushed.outcome()).to.equal('pending');
    disk.end(0, true);
    await turn();
    expect(flushed.outcome()).to.equal('resolved');
  });

  it('lets a flush join the write under way if that has everything, else wait for the next one', async () => {
    const { disk, flusher, push } = scene();
    push();
    const first = watch(flusher.flush());
    const joined = watch(flusher.flush());
    push();
    const later = watch(flusher.flush());
    expect(disk.begun).to.have.length(1);
    disk.end(0, true);
    await turn();
    expect([first.outcome(), joined.outcome(), later.outcome()]).to.deep.equal([
      'resolved',
      'resolved',
      'pending',
    ]);
    expect(disk.begun).to.have.length(1);
    disk.end(0, true);
    await turn();
    expect(later.outcome()).to.equal('resolved');
  });

  it('hands few pages to the disk before the sync when somebody waits, and works without that', async () => {
    const { disk, flusher, push } = scene();
    push();
    flusher.poll();
    disk.end();
    flusher.poll();
    expect(disk.handedOver, 'nobody waits').to.deep.equal([]);
    push();
    const first = watch(flusher.flush());
    expect(disk.handedOver).to.deep.equal([1]);
    disk.end(0, true);
    push(100_000);
    const second = watch(flusher.flush());
    expect(disk.handedOver, 'too many').to.deep.equal([1]);
    disk.end(0, true);
    disk.unable = true;
    push();
    const third = watch(flusher.flush());
    expect(disk.handedOver).to.deep.equal([1, 3]);
    disk.end(0, true);
    await turn();
    for (const flushed of [first, second, third]) expect(flushed.outcome()).to.equal('resolved');
  });

  it('hears of an end twice without harm: by a poll, and later from the event loop', async () => {
    const { disk, durability, flusher, push } = scene();
    push();
    flusher.poll();
    const finished = disk.begun[0]?.finished as () => void;
    disk.end();
    push();
    flusher.poll();
    expect(disk.begun).to.have.length(1);
    const safe = durability.published;
    finished();
    expect(durability.published).to.equal(safe);
    disk.end(0, true);
    flusher.poll();
    expect(durability.published).to.equal(safe + 16);
  });

  for (const [how, fail] of [
    ['a write that fails', (disk: SlowDisk) => disk.end(5, true)],
    [
      'a write that cannot begin',
      (disk: SlowDisk) => {
        disk.refusal = new Error('no threads');
        disk.end(0, true);
      },
    ],
  ] as const) {
    it(`after ${how} makes nothing safe any more, and says so to all who wait`, async () => {
      const { disk, durability, flusher, push } = scene();
      const before = durability.published;
      push();
      const first = watch(flusher.flush());
      push();
      const second = watch(flusher.flush());
      fail(disk);
      await turn();
      const failure = flusher.failure as TcpshmError;
      expectCode(
        () => {
          throw failure;
        },
        'ERR_FILE',
        /the journal could not be written to the disk: (fdatasync gave errno 5|no threads)/,
      );
      expect(second.outcome()).to.equal(failure);
      if (how === 'a write that fails') {
        expect(first.outcome()).to.equal(failure);
        expect(durability.published).to.equal(before);
      }
      const safe = durability.published;
      flusher.poll();
      const third = watch(flusher.flush());
      await turn();
      expect(third.outcome()).to.equal(failure);
      expect([disk.begun.length, durability.published]).to.deep.equal([0, safe]);
    });
  }

  it('tells those who wait when it is closed, and ignores what ends later', async () => {
    const { disk, flusher, push } = scene();
    push();
    const first = watch(flusher.flush());
    push();
    const second = watch(flusher.flush());
    const error = new TcpshmError('ERR_FILE', 'the last write failed');
    flusher.close(error);
    await turn();
    expect([first.outcome(), second.outcome()]).to.deep.equal([error, error]);
    disk.end(0, true);
    expect(disk.begun).to.have.length(0);
  });
});
