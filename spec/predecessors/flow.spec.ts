import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Connection, Message } from '../../lib/index.js';
import { HEADER_BYTES } from '../../lib/ring/layout.js';
import { newName, Scene, WAYS } from '../peers/support.js';
import { kernelQueues } from '../support/kernel.js';
import { fault, fill } from '../support/traffic.js';
import { until } from '../support/until.js';

const CAPACITY = 4096;
const LARGEST = CAPACITY / 4;
const TCP_WAYS = ['tcp native', 'tcp net'] as const;

describe("TCPSHM's faults: the flow of messages", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  const passive = { onMessage: () => {} };

  async function push(connection: Connection, n: number, size: number): Promise<void> {
    let message: Message | null = null;
    const room = (): boolean => {
      message = connection.alloc(size);
      return message !== null;
    };
    if (!room()) await scene.until(room, `room for ${size} bytes`);
    fill(message as unknown as Message, n);
    connection.push();
  }

  async function pop(connection: Connection, n: number, size: number): Promise<void> {
    if (connection.front() === null) await scene.until(() => connection.front() !== null, `message ${n}`);
    expect(fault(connection.front() as Message, n, size)).to.equal(null);
    connection.pop();
  }

  for (const way of WAYS) {
    it(`one-way flow moves at most one queue per heartbeat: here many, without any heartbeat, over ${way}`, async () => {
      const { server, client, local, remote } = await scene.pair(way, passive);
      const message = new Uint8Array(500);
      const enough = (100 * CAPACITY) / message.length;
      // A clock that stands still: no heartbeat is ever due.
      const now = performance.now();
      await until(
        () => remote.popped >= enough,
        'a hundred queues of messages',
        async () => {
          while (local.send(message));
          client.poll(now);
          server.poll(now);
          const before = remote.popped;
          for (let front = remote.front(); front !== null; front = remote.front()) remote.pop();
          await nextTurn();
          return remote.popped !== before;
        },
      );
      expect([remote.pushed, local.popped], 'nothing went the other way').to.deep.equal([0, 0]);
    });

    it(`a message over half the ring is refused forever by an empty ring: here the largest fits, wherever it wraps, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way, passive);
      const largest = local.maxMessageBytes;
      const starts = new Set<number>();
      let n = 0;
      const position = (): number => local.side.readState().pushed.position % CAPACITY;
      const through = async (size: number): Promise<void> => {
        await push(local, n, size);
        await pop(remote, n++, size);
      };
      for (let start = 0; start < CAPACITY; start += HEADER_BYTES) {
        while (position() !== start) {
          const distance = (start - position() + CAPACITY) % CAPACITY;
          const record = Math.min(distance, CAPACITY - position(), largest + HEADER_BYTES);
          await through(record - HEADER_BYTES);
        }
        starts.add(position());
        await through(largest);
      }
      expect(starts.size).to.equal(CAPACITY / HEADER_BYTES);
    });

    it(`a poll between alloc and push corrupts: here both go on as they were, over ${way}`, async () => {
      const { server, client, address, local, remote } = await scene.pair(way, passive, passive);
      let now = performance.now();
      for (let n = 0; n < 50; n++) {
        const out = local.alloc(600) as Message;
        const back = remote.alloc(300) as Message;
        fill(out, n);
        fill(back, 1000 + n);
        if (n === 25 && way !== 'inproc') {
          local.side.disconnect({}, () => {});
          await scene.until(() => remote.state === 'disconnected', 'the end on the other side');
          await scene.connect(client, address);
          now = performance.now();
        }
        // Messages on their way and taken, acknowledgements and heartbeats: all while both are half made.
        const arrived = (): boolean => remote.popped === n && local.popped === n;
        const meanwhile = async (): Promise<void> => {
          now += 3500;
          client.poll(now);
          server.poll(now);
          await nextTurn();
          if (remote.front() !== null) await pop(remote, n - 1, 600);
          if (local.front() !== null) await pop(local, 999 + n, 300);
        };
        await meanwhile();
        await until(arrived, 'the messages of before', meanwhile);
        await meanwhile();
        expect([remote.front(), local.front()]).to.deep.equal([null, null]);
        expect([fault(out, n, 600), fault(back, 1000 + n, 300)]).to.deep.equal([null, null]);
        local.push();
        remote.push();
      }
      await pop(remote, 49, 600);
      await pop(local, 1049, 300);
      expect([local.state, remote.state]).to.deep.equal(['connected', 'connected']);
    });

    it(`sizes wrap at 16 bits: here messages of 65535 bytes and more are whole, over ${way}`, async () => {
      const capacities = { sendCapacityBytes: 2 ** 19, receiveCapacityBytes: 2 ** 19 };
      const { local, remote } = await scene.pair(way, { ...passive, ...capacities }, passive);
      let n = 0;
      for (const size of [65527, 65528, 65535, 65536, 65537, 65536 + 8, 131072 - 8, 131072]) {
        for (const [from, to] of [
          [local, remote],
          [remote, local],
        ] as const) {
          await push(from, n, size);
          await pop(to, n++, size);
        }
      }
      expect([local.pushed, remote.pushed, remote.maxMessageBytes]).to.deep.equal([8, 8, 131072]);
    });

    it(`a message larger than the receiver's maximum is resent forever: here it is none, as capacities must agree, over ${way}`, async () => {
      const server = scene.server({
        ...scene.wire(way),
        ...passive,
        receiveCapacityBytes: CAPACITY,
        sendCapacityBytes: 4 * CAPACITY,
      });
      const address = await scene.address(server, way);
      for (const options of [
        { sendCapacityBytes: 4 * CAPACITY },
        { receiveCapacityBytes: CAPACITY },
        { sendCapacityBytes: 2 * CAPACITY, receiveCapacityBytes: 4 * CAPACITY },
      ]) {
        const bad = scene.client({ ...scene.wire(way), name: newName('bad'), ...options });
        const message = /the client wants \d+ bytes, the server \d+/;
        await scene.refused(bad.connect(address), 'ERR_CAPACITY', message);
        expect([server.connections, bad.connection, scene.files()]).to.deep.equal([[], null, []]);
      }
      const local = await scene.connect(scene.client({ ...scene.wire(way), ...passive }), address);
      const remote = server.connections[0] as Connection;
      expect([local.maxMessageBytes, remote.maxMessageBytes]).to.deep.equal([LARGEST, 4 * LARGEST]);
      for (const [from, to] of [
        [local, remote],
        [remote, local],
      ] as const) {
        const largest = from.maxMessageBytes;
        expect(() => from.alloc(largest + 1)).to.throw(RangeError, String(largest));
        expect(() => from.send(new Uint8Array(largest + 1))).to.throw(RangeError, String(largest));
        expect(from.pushed).to.equal(0);
        await push(from, 1, largest);
        await pop(to, 1, largest);
      }
    });
  }

  for (const way of TCP_WAYS) {
    it(`with both buffers full, acknowledgements are stuck behind data: here both sides go on, over ${way}`, async () => {
      const capacity = 2 ** 25;
      const places = { directory: undefined as unknown as string };
      const capacities = { sendCapacityBytes: capacity, receiveCapacityBytes: capacity };
      const pair = await scene.pair(way, { ...passive, ...places, ...capacities }, { ...passive, ...places });
      const { local, remote } = pair;
      const size = 2 ** 20 - HEADER_BYTES;
      const sides = [local, remote];
      // What a side has popped must be acknowledged through the jam.
      for (const side of sides) side.send('popped in the middle of it');
      await scene.until(() => sides.every((side) => side.front() !== null), 'the first messages');
      let count = 0;
      for (; local.alloc(size) !== null && remote.alloc(size) !== null; count++) {
        for (const side of sides) await push(side, count, size);
      }
      expect(sides.map((side) => side.alloc(size))).to.deep.equal([null, null]);
      const { port } = pair.address as { port: number };
      for (const { send } of kernelQueues(port)) expect(send, 'no room at the other end').to.be.above(0);
      for (const side of sides) side.pop();
      for (let n = 0; n < count; n++) for (const side of sides) await pop(side, n, size);
      // All of the queue is free again, so the acknowledgements have come; and as much goes through once more.
      for (let n = 0; n < count; n++) for (const side of sides) await push(side, n, size);
      for (let n = 0; n < count; n++) for (const side of sides) await pop(side, n, size);
      expect(sides.map((side) => side.state)).to.deep.equal(['connected', 'connected']);
    });
  }
});
