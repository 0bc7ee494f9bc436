import { expect } from 'chai';
import { answerMessage } from '../../bench/messaging/asked.js';
import { Asking } from '../../bench/messaging/asking.js';
import { besideStream } from '../../bench/messaging/beside.js';
import { startTalk } from '../../bench/messaging/ours.js';
import { askedPeer } from '../../bench/messaging/peer.js';
import {
  answerTo,
  bytesOf,
  checkAnswer,
  checkBytes,
  partOf,
  questionOf,
  StreamCheck,
} from '../../bench/messaging/questions.js';
import type { Link, Peer } from '../../bench/peers/link.js';
import { peer as messagePort } from '../../bench/peers/messagePort.js';
import { nativeOrNull } from '../../lib/memory/native.js';

describe('requests of the benchmark', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const carrier of ['inproc', 'shm', 'tcp'] as const) {
    it(`are answered, one at a time or many, over ${carrier}`, async () => {
      const asking = new Asking(await startTalk(carrier, 0));
      try {
        await asking.roundTrips(10);
        await asking.together(200, 64);
      } finally {
        await asking.stop();
        await asking.stop();
      }
    });
  }

  it('are answered by a peer, too', async () => {
    const asking = new Asking(await askedPeer(messagePort, 'peer').start(0));
    try {
      await asking.roundTrips(10);
      await asking.together(200, 64);
    } finally {
      await asking.stop();
      await asking.stop();
    }
  });

  it('wait for the message before them, over a peer that takes one at a time', async () => {
    let [taking, most] = [0, 0];
    let near = (_message: Uint8Array): void => {};
    const link: Link = {
      keeps: true,
      async send(message) {
        most = Math.max(most, ++taking);
        await new Promise(setImmediate);
        taking--;
        near(answerMessage(message));
      },
      listen(onMessage) {
        near = onMessage;
      },
      async stop() {},
    };
    const peer: Peer = { name: 'slow', limit: 'core-to-core', connect: async () => link };
    await new Asking(await askedPeer(peer, 'slow').start(0)).together(50, 10);
    expect(most).to.equal(1);
  });

  it('are timed beside a stream that arrives whole', async () => {
    const subject = besideStream('beside', 'shm', 2 ** 20 + 2 ** 12);
    const { samples } = await subject.measure([0, 0], 1, { warmUpMs: 1, batchesMs: 1, singleMs: 0 });
    expect(samples).not.to.be.empty;
  });

  it('notice what is wrong', () => {
    checkAnswer(5, answerTo(questionOf(5)));
    expect(() => checkAnswer(5, answerTo(questionOf(9)))).to.throw('question 5');
    checkBytes(5, bytesOf(5));
    expect(() => checkBytes(5, bytesOf(261))).to.throw('the bytes 5');
    const stream = new StreamCheck();
    stream.take(partOf(0, 1000).subarray(0, 700));
    stream.take(partOf(0, 2048).subarray(700));
    stream.take(partOf(2048, 1024));
    expect(stream.taken).to.equal(3072);
    expect(() => stream.take(partOf(2048, 1024))).to.throw('byte 3072');
  });
});
