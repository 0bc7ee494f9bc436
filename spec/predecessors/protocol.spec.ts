import { expect } from 'chai';
import { RECORDS } from '../../lib/ring/layout.js';
import { FRAME_HEADER_BYTES, FrameKind } from '../../lib/session/frame.js';
import { FRESH_STATE } from '../../lib/session/state.js';
import { RawClient } from '../peers/rawClient.js';
import { expectError, newName, type Pair, Scene } from '../peers/support.js';
import { FrameCutter } from '../support/frameCutter.js';
import { dataFrame, helloFrame } from '../support/frames.js';
import { Relay } from '../support/relay.js';

/** Bytes that pass for a record of this size, which counts the 8 of its header. */
function record(size: number): Uint8Array {
  return new Uint8Array(Int32Array.of(size, 1, 0, 0).buffer);
}

describe("TCPSHM's faults: what a peer sends is trusted", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** The connection that was ended for a breach of the protocol, and no other, as the others still work. */
  async function expectEnded(pair: Pair, name: string, message: RegExp): Promise<void> {
    await scene.until(() => pair.serverEnded.length > 0, 'the end of the bad one');
    const end = pair.serverEnded.pop();
    expect([end?.connection.remoteName, end?.reason]).to.deep.equal([name, 'protocol violated']);
    expectError(end?.error, 'ERR_PROTOCOL', message);
    const { popped } = pair.remote;
    pair.local.send('unharmed');
    await scene.until(() => pair.remote.popped === popped + 1, 'a message of the good one');
    expect([pair.serverEnded, pair.clientEnded]).to.deep.equal([[], []]);
  }

  for (const way of ['tcp native', 'tcp net'] as const) {
    const refuseSizes = async (sizes: readonly number[]): Promise<void> => {
      const pair = await scene.pair(way);
      for (const size of sizes) {
        const bad = await RawClient.connect(newName('bad'), scene, pair.address);
        await bad.login();
        bad.say(dataFrame(0, record(size), 0, 0));
        await expectEnded(pair, bad.name, new RegExp(`size from 8 to 1032 .*got size ${size},`));
        await scene.until(() => bad.ended, 'the server to hang up');
      }
    };

    it(`a received size of 0 loops forever: here it is ERR_PROTOCOL, and harms no other connection, over ${way}`, () =>
      refuseSizes([0]));

    it(`a received size of 1 to 7 underflows: here it is ERR_PROTOCOL, and harms no other connection, over ${way}`, () =>
      refuseSizes([1, 2, 3, 4, 5, 6, 7]));

    it(`an acknowledgement beyond the queue walks out of bounds: here it is ERR_PROTOCOL, and sends nothing, over ${way}`, async () => {
      const pair = await scene.pair(way);
      const sent = Buffer.from('all that was sent');
      for (const acknowledged of [40, 4096, 2 ** 30, 2 ** 31 - 8, -(2 ** 31), -4096, -8]) {
        const bad = await RawClient.connect(newName('bad'), scene, pair.address);
        await bad.login();
        const victim = pair.server.connections.find(({ remoteName }) => remoteName === bad.name);
        victim?.send(sent);
        const payloads = (): Buffer[] => bad.frames.map(({ payload }) => payload);
        await scene.until(() => Buffer.concat(payloads()).includes(sent), 'the message');
        bad.say(dataFrame(0, new Uint8Array(0), acknowledged, 1));
        await expectEnded(pair, bad.name, /acknowledgement must be from position 0 to 32, got/);
        await scene.until(() => bad.ended, 'the server to hang up');
        const data = bad.frames.filter(({ kind }) => kind === FrameKind.data);
        expect(Buffer.concat(data.map(({ payload }) => payload))).to.have.length(32);
      }
    });

    it(`so does one in a login: here the login is refused, and sends nothing, over ${way}`, async () => {
      const { server, address } = await scene.pair(way);
      for (const position of [8, 4096, 2 ** 31, 2 ** 32 - 8]) {
        for (const sequence of [0, 1]) {
          const point = { position, sequence };
          const bad = await RawClient.connect(newName('bad'), scene, address);
          const welcome = await bad.hello();
          const { sessionId } = welcome as { sessionId: string };
          const state = { ...FRESH_STATE, popped: point, received: point };
          const reject = await bad.attach(sessionId, { state });
          expect(reject?.code).to.equal('ERR_SEQUENCE_MISMATCH');
          await scene.until(() => bad.ended, 'the server to hang up');
          expect(bad.frames.map(({ kind }) => kind)).to.deep.equal([FrameKind.welcome, FrameKind.reject]);
        }
      }
      expect(server.connections.filter(({ state }) => state === 'connected')).to.have.length(1);
    });

    it(`a login split into two packets fails: here it may come byte by byte, over ${way}`, async () => {
      const server = scene.server(scene.wire(way));
      const address = await scene.address(server, way);
      const raw = await RawClient.connect(newName('slow'), scene, address);
      const bytes = helloFrame(raw.name);
      for (const byte of bytes) {
        expect(raw.frames, 'an answer to a part').to.deep.equal([]);
        raw.say(Uint8Array.of(byte));
        for (let i = 0; i < 3; i++) await scene.turn();
      }
      await scene.until(() => raw.frames.length > 0, 'the offer');
      expect(raw.frames[0]?.kind).to.equal(FrameKind.welcome);
      raw.hangUp();

      // What the server says is cut as finely, for the client, and so is all that follows the login.
      const cutter = new FrameCutter(FRAME_HEADER_BYTES + 200);
      const relay = await Relay.listen(cutter.carry);
      try {
        relay.targetPort = (address as { port: number }).port;
        const client = scene.client(scene.wire(way));
        const connection = await scene.connect(client, { port: relay.port, transport: 'tcp' });
        expect(cutter.framesCut).to.be.at.least(4);
        connection.send('in pieces');
        const has = (): boolean => server.connections.some((one) => one.front()?.text() === 'in pieces');
        await scene.until(has, 'the message');
      } finally {
        await relay.close();
      }
    });
  }

  for (const way of ['shm', 'inproc'] as const) {
    it(`a received size of 0 or 1 to 7 in shared memory: here no message, or ERR_PROTOCOL, over ${way}`, async () => {
      const pair = await scene.pair(way);
      for (const size of [1, 2, 3, 4, 5, 6, 7]) {
        const bad = scene.client({ ...scene.wire(way), name: newName('bad') });
        const connection = await scene.connect(bad, pair.address);
        const { words } = connection.side.ends.open.segment.outgoing('client');
        // A whole record, but for its size: while that is 0 it is not published.
        words.set([0, 1], RECORDS >> 2);
        for (let i = 0; i < 10; i++) await scene.turn();
        const victim = pair.server.connections.find(({ remoteName }) => remoteName === bad.name);
        expect([victim?.state, victim?.front(), victim?.popped]).to.deep.equal(['connected', null, 0]);
        Atomics.store(words, RECORDS >> 2, size);
        await expectEnded(pair, bad.name, new RegExp(`got size ${size},`));
      }
    });
  }
});
