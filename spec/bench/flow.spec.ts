import { expect } from 'chai';
import { BulkTally, Cargo, tallyOf } from '../../bench/flow/bulk.js';
import { makeFlow } from '../../bench/flow/near.js';
import { CARRIERS, type FlowSettings } from '../../bench/flow/settings.js';
import { startSides } from '../../bench/flow/sides.js';
import { Tally } from '../../bench/tally.js';
import { RingChannel } from '../../lib/index.js';
import { nativeOrNull } from '../../lib/memory/native.js';

const BYTES = 8192;

describe('large messages of the bench', () => {
  const START = 24;
  const cargo = new Cargo(BYTES);
  const bytes = Buffer.alloc(START + BYTES);
  const write = (number: number): void => bytes.set(cargo.message(number), START);
  const verify = (number: number, length = BYTES): void => cargo.verify(bytes, START, START + length, number);

  it('are accepted as they were sent, whatever their number', () => {
    for (const number of [0, 1, 4711, 2 ** 31 - 1]) {
      write(number);
      verify(number);
    }
  });

  it('are refused when they are those of another number or size', () => {
    write(7);
    expect(() => verify(8)).to.throw(/message 8 came wrong/);
    expect(() => verify(7, BYTES - 64)).to.throw(/message 7 came wrong/);
  });

  it('are refused when any cache line was cleared, or has the number of another message', () => {
    for (let line = START; line < START + BYTES; line += 64) {
      write(7);
      bytes.fill(0, line, line + 64);
      expect(() => verify(7), `line ${line}`).to.throw(/message 7 came wrong/);
    }
    write(7);
    bytes.writeDoubleLE(6, START + BYTES / 2);
    expect(() => verify(7)).to.throw(/message 7 came wrong/);
  });

  it('come to the same count and checksum on both sides, and are told from others', () => {
    const channel = new RingChannel({ capacityBytes: 8 * BYTES });
    const far = RingChannel.open(channel.remote);
    const [written, read] = [tallyOf(BYTES), tallyOf(BYTES)];
    expect(written).to.be.instanceOf(BulkTally);
    expect(tallyOf(64)).to.be.instanceOf(Tally);
    try {
      for (let i = 0; i < 20; i++) {
        const message = channel.local.alloc(BYTES);
        if (message === null) throw new Error('no room');
        written.write(message);
        channel.local.push();
        const arrived = far.front();
        if (arrived === null) throw new Error('no message');
        read.read(arrived);
        far.pop();
      }
      written.compare(read);
      expect(() => written.compare(tallyOf(BYTES))).to.throw(/expected 20 messages .* has 0/);
    } finally {
      far.close();
      channel.local.close();
    }
  });
});

describe('the near side of a flow', () => {
  it('fails when the far side has seen something else', () => {
    const channel = new RingChannel();
    const far = RingChannel.open(channel.remote);
    const settings: FlowSettings = {
      carrier: 'inproc',
      duty: 'sink',
      bytes: 64,
      capacityBytes: 2 ** 20,
      batch: 1,
    };
    const flow = makeFlow(settings, {
      connection: channel.local,
      client: null,
      farMemory: () => Promise.reject(new Error('there is no far process')),
      async stop() {},
    });
    try {
      // An answer that is there before anything was sent.
      new Tally().answer(far, 0);
      expect(() => flow.move(3)).to.throw(/expected 3 messages .* has 0/);
    } finally {
      far.close();
      channel.local.close();
    }
  });
});

describe('flows of the bench', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  const settings: FlowSettings = {
    carrier: 'shm',
    duty: 'sink',
    bytes: 64,
    capacityBytes: 2 ** 16,
    batch: 1,
  };
  const moveSome = async (changes: Partial<FlowSettings>): Promise<void> => {
    const flow = makeFlow({ ...settings, ...changes }, await startSides({ ...settings, ...changes }, 0));
    try {
      // More than the queue holds, and a number that no batch divides.
      for (const count of [1, 5003]) {
        flow.between?.();
        await flow.move(count);
      }
    } finally {
      await flow.stop();
      await flow.stop();
    }
  };

  for (const carrier of CARRIERS) {
    it(`move every message one way over ${carrier}, one by one or in batches`, async () => {
      await moveSome({ carrier });
      await moveSome({ carrier, batch: 17 });
    });
  }

  it('move large messages', async () => {
    for (const carrier of ['inproc', 'shm', 'tcp'] as const) {
      await moveSome({ carrier, bytes: 16_384 });
    }
  });

  it('bring back every message of an echo', async () => {
    for (const carrier of ['inproc', 'shm', 'tcp'] as const) await moveSome({ carrier, duty: 'echo' });
  });

  it('fail when a message arrives that is not what was sent', async () => {
    const sides = await startSides(settings, 0);
    const flow = makeFlow(settings, sides);
    try {
      await flow.move(10);
      // One that neither side has counted: the far side ends at it.
      sides.connection.send(new Uint8Array(64));
      let failure: unknown = null;
      try {
        await flow.move(10);
        await sides.farMemory();
      } catch (error) {
        failure = error;
      }
      expect(failure).to.be.instanceOf(Error);
    } finally {
      await flow.stop();
    }
  });
});
