import { expect } from 'chai';
import { LEAST_SHARE, outcomeOf } from '../../bench/scale/groups.js';
import { type Effort, Team } from '../../bench/scale/team.js';
import { Work } from '../../bench/scale/work.js';
import { PAYLOAD_BYTES } from '../../bench/tally.js';
import { nativeOrNull } from '../../lib/memory/native.js';

const view = new DataView(new ArrayBuffer(PAYLOAD_BYTES));
const payload = { view, offset: 0, size: PAYLOAD_BYTES };

describe('messages that are work', () => {
  it('are known by their results: whoever does the work has the checksum of whoever wrote them', () => {
    const [writer, reader] = [new Work(), new Work()];
    for (let i = 0; i < 200; i++) {
      writer.write(payload);
      reader.read(payload);
    }
    writer.compare(reader);
    expect(reader.count).to.equal(200);
  });

  it('are counted, and taken in their order', () => {
    const [writer, reader] = [new Work(), new Work()];
    writer.write(payload);
    expect(() => writer.compare(reader)).to.throw(/expected 1 messages with .* the other side has 0/);
    writer.write(payload);
    expect(() => reader.read(payload)).to.throw('expected message 0 of 64 bytes, got message 1 of 64');
  });

  it('have another result when any byte of the cargo is another', () => {
    for (let at = 4; at < PAYLOAD_BYTES; at++) {
      const [writer, reader] = [new Work(), new Work()];
      writer.write(payload);
      view.setUint8(at, view.getUint8(at) ^ 1);
      reader.read(payload);
      expect(() => writer.compare(reader), `byte ${at}`).to.throw(/with checksum/);
    }
  });
});

describe('a server with threads of groups, and its clients', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const groups of [1, 2]) {
    it(`has every message worked on, in ${groups} thread(s), and tells what each has taken of a processor`, async () => {
      const team = await Team.start(groups, [0, 0]);
      try {
        for (let i = 0; i < 2; i++) {
          const { ns, shares, cpuNs, clientsShare } = await team.burst(2000);
          expect(ns).to.be.above(0);
          expect(cpuNs).to.be.above(0);
          expect(clientsShare).to.be.above(0);
          expect(shares).to.have.length(groups);
          for (const share of shares) expect(share).to.be.above(0);
        }
      } finally {
        await team.stop();
      }
    });
  }
});

describe('threads of groups compared', () => {
  const plan = { rounds: 2, turns: 2, messages: 100, warmUp: 0, forMs: 0 };
  const one: Effort = { ns: 4000, shares: [0.99], cpuNs: 3960, clientsShare: 0.03 };
  const two: Effort = { ns: 2200, shares: [0.9, 0.92], cpuNs: 4000, clientsShare: 0.06 };
  const starved: Effort = { ns: 4000, shares: [0.5, LEAST_SHARE], cpuNs: 4000, clientsShare: 0.06 };

  it('tell of the messages of both, in all and for each second of a processor', () => {
    const { results, warnings } = outcomeOf([[{ one, two }], [{ one, two }]], plan, 2);
    expect(warnings).to.deep.equal([]);
    const [first, second] = results;
    expect(first).to.include({ name: 'scale/groups-1', unit: '/s', p50: 250_000, n: 200 });
    expect(first?.groups).to.deep.equal({
      shares: [0.99],
      messagesPerCpuSecond: 252_525,
      clientsShare: 0.03,
    });
    expect(second).to.include({ name: 'scale/groups-2', unit: '/s', p50: 454_545, n: 400 });
    expect(second?.oneGroupRatio).to.deep.include({ to: 'scale/groups-1', p50: 1.82 });
    expect(second?.groups?.shares).to.deep.equal([0.9, 0.92]);
    expect(second?.groups?.perCpuRatio).to.deep.include({ to: 'scale/groups-1', p50: 0.99 });
  });

  it('leave out turns in which other work has taken a processor', () => {
    const { results, warnings } = outcomeOf(
      [
        [{ one, two: starved }],
        [
          { one, two: starved },
          { one, two },
        ],
      ],
      plan,
      2,
    );
    expect(warnings).to.deep.equal([]);
    expect(results[1]).to.include({ p50: 454_545, samples: 1, slices: 1 });
    expect(results[1]).to.not.have.property('unsettled');
  });

  it('are not settled where that was so in all of them', () => {
    const { results, warnings } = outcomeOf([[{ one, two: starved }]], plan, 2);
    expect(results.map(({ unsettled }) => unsettled)).to.deep.equal([true, true]);
    expect(results[1]?.oneGroupRatio?.p50).to.equal(1);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/^scale\/groups-2 did not settle: .*Compare messages per CPU second$/);
  });
});
