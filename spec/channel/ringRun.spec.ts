import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import {
  type Connection,
  channel,
  IDLE_STRATEGIES,
  RingChannel,
  type RingHandle,
  RingPort,
  textCodec,
} from '../../lib/index.js';
import { Scene } from '../peers/support.js';
import { until } from '../support/until.js';

const LIBRARY = new URL('../../lib/index.js', import.meta.url).href;

/** What a thread does with the other end. */
const ECHO = (idle: string): string => `
  import { workerData } from 'node:worker_threads';
  import { RingChannel } from ${JSON.stringify(LIBRARY)};
  const end = RingChannel.open(workerData);
  await RingChannel.run(end, {
    idle: ${JSON.stringify(idle)},
    onMessage(end, message) {
      const text = message.text();
      if (text === 'exit') process.exit();
      end.pop();
      if (text === 'close') end.close();
      else end.send(text);
    },
  });`;

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => error,
  );
}

describe('ends of RingChannels that run', () => {
  const workers: Worker[] = [];
  const open: Connection[] = [];
  afterEach(async () => {
    for (const end of open.splice(0)) end.close();
    await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  });

  function rings(): RingChannel {
    const made = new RingChannel({ capacityBytes: 4096 });
    open.push(made.local);
    return made;
  }

  function other(made: RingChannel): Connection {
    const end = RingChannel.open(made.remote);
    open.push(end);
    return end;
  }

  function echo(remote: RingHandle, idle: string): Worker {
    const source = `data:text/javascript,${encodeURIComponent(ECHO(idle))}`;
    const worker = new Worker(new URL(source), { workerData: remote });
    workers.push(worker);
    return worker;
  }

  for (const idle of IDLE_STRATEGIES) {
    it(`exchange messages with another thread, and hear of its end, idle by '${idle}'`, async () => {
      const { local, remote } = rings();
      echo(remote, idle);
      const got: string[] = [];
      const ends: string[] = [];
      const run = RingChannel.run(local, {
        // 'busy' would keep this thread from anything else.
        idle: idle === 'busy' ? 'yield' : idle,
        onMessage(end, message) {
          got.push(message.text());
          end.pop();
        },
        onDisconnect: (_, reason) => ends.push(reason),
      });
      for (let n = 0; n < 100; n++) {
        await local.writable(100);
        local.send(`${n}`);
        // Long enough for either side to fall asleep.
        if (n % 25 === 0) await sleep(15);
      }
      await until(() => got.length === 100, 'all echoes');
      expect(got).to.deep.equal(Array.from({ length: 100 }, (_, n) => `${n}`));
      local.send('close');
      await until(() => ends.length > 0, 'the end');
      expect(ends).to.deep.equal(['closed by peer']);
      await run.stop();
    });
  }

  it('sleep with the whole thread where they are told to', async () => {
    const { local, remote } = rings();
    echo(remote, 'park');
    let count = 0;
    local.send('0');
    await RingChannel.run(local, {
      idle: 'park',
      blocking: true,
      onMessage(end, message) {
        const text = message.text();
        end.pop();
        if (++count === 50) end.close();
        else end.send(`${Number(text) + 1}`);
      },
    });
    expect(count).to.equal(50);
  });

  it('serve several together, with channels and ports over them', async () => {
    const all = Array.from({ length: 20 }, () => rings());
    const far = all.map(other);
    const here = RingChannel.run(all.map(({ local }) => local));
    const there = RingChannel.run(far, { idle: 'park' });
    for (const end of far.slice(1)) {
      const echoed = channel(end, textCodec);
      void (async () => {
        for await (const text of echoed) await echoed.sendAsync(text);
      })();
    }
    const port = RingPort.over(far[0] as Connection);
    port.on('message', (value) => port.postMessage(value));
    const near = RingPort.over(all[0]?.local as Connection);
    const values: unknown[] = [];
    near.on('message', (value) => values.push(value));
    const channels = all.slice(1).map(({ local }) => channel(local, textCodec));
    for (let round = 0; round < 3; round++) {
      near.postMessage({ round });
      for (const each of channels) await each.sendAsync(`${round}`);
      const answers = await Promise.all(channels.map((each) => each.receive()));
      expect(answers).to.deep.equal(channels.map(() => `${round}`));
      await until(() => values.length === round + 1, 'the echo of the port');
      await sleep(5);
    }
    expect(values).to.deep.equal([{ round: 0 }, { round: 1 }, { round: 2 }]);
    await here.stop();
    await there.stop();
  });

  it('hear once of each end of a thread, after its messages', async () => {
    // More than are handed out between two looks at the other end.
    const count = 5000;
    const { local, remote } = new RingChannel();
    open.push(local);
    const heard: string[] = [];
    const run = RingChannel.run(local, {
      idle: 'park',
      onMessage(end, message) {
        heard.push(message.text());
        end.pop();
      },
      onDisconnect: (_, reason) => heard.push(reason),
    });
    const far = RingChannel.open(remote);
    for (let n = 0; n < count; n++) far.send(`${n}`);
    far.close();
    await until(() => heard.includes('closed by peer'), 'the end');
    expect(heard).to.deep.equal([...Array.from({ length: count }, (_, n) => `${n}`), 'closed by peer']);
    const worker = echo(remote, 'park');
    local.send('again');
    await until(() => heard.at(-1) === 'again', 'the echo');
    await worker.terminate();
    await until(() => heard.at(-1) === 'peer ended', 'the end of the thread');
    await sleep(300);
    expect(heard.slice(count + 1)).to.deep.equal(['again', 'peer ended']);
    await run.stop();
  });

  it('stop when all of them are closed, also from sleep, and can run again before', async () => {
    const one = rings().local;
    const two = rings().local;
    const stop = new AbortController();
    const first = RingChannel.run([one, two], { idle: 'park', signal: stop.signal });
    expect(await rejection(RingChannel.run(two))).to.have.property('code', 'ERR_BUSY');
    await sleep(20);
    stop.abort();
    await first;
    const run = RingChannel.run([one, two], { idle: 'park' });
    await sleep(20);
    one.close();
    await sleep(5);
    two.close();
    await run;
    expect(await rejection(RingChannel.run(two))).to.have.property('code', 'ERR_CLOSED');
  });

  it('reject with what a handler throws, and the message comes again', async () => {
    const made = rings();
    other(made).send('a message');
    const thrown = new Error('thrown by a handler');
    const throwing = RingChannel.run(made.local, {
      onMessage() {
        throw thrown;
      },
    });
    expect(await rejection(throwing)).to.equal(thrown);
    expect(made.local.front()?.text()).to.equal('a message');
  });

  it('are ends of RingChannels alone', async () => {
    const scene = new Scene();
    try {
      const { local } = await scene.pair('inproc');
      for (const end of [local, null, {}]) {
        expect(await rejection(RingChannel.run(end as never))).to.have.property('code', 'ERR_OPTION');
      }
      const { local: mine } = rings();
      expect(await rejection(RingChannel.run(mine, { idle: 'sleep' } as never))).to.have.property(
        'code',
        'ERR_OPTION',
      );
      const run = RingChannel.run(mine);
      await run.stop();
    } finally {
      await scene.end();
    }
  });

  it('keep no process once they were unref-ed', async () => {
    const scene = new Scene();
    try {
      for (const native of ['on', 'off']) {
        const { child, words } = scene.child(
          `const { local } = new tcpshm.RingChannel();
           local.unref();
           void tcpshm.RingChannel.run(local, { idle: 'park' });
           say('done');`,
          native === 'off' ? { TCPSHM_NATIVE: 'off' } : {},
        );
        await until(() => child.exitCode !== null && words.length > 0, 'its end');
        expect(words).to.deep.equal(['done']);
        expect(child.exitCode).to.equal(0);
      }
    } finally {
      await scene.end();
    }
  });
});
