import { expect } from 'chai';
import { roundTripsOf } from '../../bench/peers/awaited.js';
import { peer as childIpc } from '../../bench/peers/childIpc.js';
import { Frames } from '../../bench/peers/frames.js';
import { endMessage, farDuty, type Link, type Peer } from '../../bench/peers/link.js';
import { peer as messagePort } from '../../bench/peers/messagePort.js';
import * as net from '../../bench/peers/net.js';
import { LinkFlow } from '../../bench/peers/oneWay.js';
import { inFlight, subject as piscina } from '../../bench/peers/piscina.js';
import { nativeOrNull } from '../../lib/memory/native.js';

describe('frames of a stream', () => {
  it('are whole however the stream is cut', () => {
    const sizes = [1, 16, 5];
    const bytes = Uint8Array.from({ length: 66 }, (_, i) => i);
    for (let step = 1; step <= bytes.length; step++) {
      const got: number[][] = [];
      const frames = new Frames(sizes, (message) => got.push([...message]));
      for (let at = 0; at < bytes.length; at += step) frames.take(bytes.subarray(at, at + step));
      expect(
        got.map(({ length }) => length),
        `step ${step}`,
      ).to.deep.equal([...sizes, ...sizes, ...sizes]);
      expect(got.flat()).to.deep.equal([...bytes]);
    }
  });
});

describe('the far side of a peer', () => {
  const link = (spoil: (message: Uint8Array, i: number) => void): Link => {
    let near = (_message: Uint8Array): void => {};
    let fail = (_error: Error): void => {};
    const far = farDuty('sink', (answer) => near(answer));
    let sent = 0;
    return {
      keeps: false,
      send(message) {
        spoil(message, sent++);
        try {
          far(message);
        } catch (error) {
          fail(error as Error);
        }
      },
      listen(onMessage, onFailure) {
        [near, fail] = [onMessage, onFailure];
      },
      async stop() {},
    };
  };

  it('answers the end of messages with their count and checksum', async () => {
    const flow = new LinkFlow(link(() => {}));
    await flow.move(100);
    await flow.move(50);
  });

  it('refuses a message that is not the next one', async () => {
    const flow = new LinkFlow(
      link((message, i) => {
        if (i === 30) new DataView(message.buffer).setInt32(0, 29, true);
      }),
    );
    let failure: unknown = null;
    await flow.move(100).catch((error: unknown) => {
      failure = error;
    });
    expect(String(failure)).to.match(/message 30 came back wrong/);
  });

  it('takes the end for no message', () => {
    const answers: Uint8Array[] = [];
    farDuty('sink', (answer) => answers.push(answer))(endMessage());
    expect(answers).to.have.length(1);
    expect([...(answers[0] as Uint8Array)].every((byte) => byte === 0)).to.equal(true);
  });
});

describe('peers', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  const peers: (() => Promise<Peer>)[] = [
    async () => messagePort,
    async () => childIpc,
    async () => net.tcp,
    async () => net.unix,
    async () => (await import('../../bench/peers/zeromq.js')).tcp,
    async () => (await import('../../bench/peers/zeromq.js')).ipc,
  ];
  for (const [i, load] of peers.entries()) {
    const name = [
      'MessagePort',
      'IPC of a child',
      'net over TCP',
      'net over a Unix socket',
      'ZeroMQ over TCP',
      'ZeroMQ over IPC',
    ][i];
    it(`bring back what is sent, and take messages one way: ${name}`, async () => {
      const peer = await load();
      const trips = await roundTripsOf(peer).start([0, 0]);
      try {
        for (const count of [1, 7, 40]) await trips.roundTrips(count);
      } finally {
        await trips.stop();
        await trips.stop();
      }
      const flow = new LinkFlow(await peer.connect(0, 'sink'));
      try {
        for (const count of [1, 1500]) await flow.move(count);
      } finally {
        await flow.stop();
      }
    });
  }

  it('run as tasks of piscina, one at a time or many', async () => {
    const trips = await piscina.start([0, 0]);
    try {
      await trips.roundTrips(20);
    } finally {
      await trips.stop();
    }
    const effort = { warmUpMs: 0, batchesMs: 0, singleMs: 0 };
    const { samples } = await inFlight.measure([0, 0], 300, effort);
    expect(samples).not.to.be.empty;
  });
});
