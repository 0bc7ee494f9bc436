import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import {
  type Connection,
  deflate,
  type Messenger,
  type MessengerOptions,
  messenger,
} from '../../lib/index.js';
import {
  Flag,
  type Hello,
  helloBytes,
  LEAST_REQUESTS,
  LEAST_WINDOW_BYTES,
  MethodName,
  PacketHeader,
  PacketKind,
  typeOf,
  WHOLE,
  writeHeader,
  writeHello,
} from '../../lib/messaging/packet.js';
import { type Pair, Scene } from '../peers/support.js';

interface Told {
  readonly kind: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A peer that writes packets by hand, which says nothing of itself. */
class RawPeer {
  readonly told: Told[] = [];
  readonly #connection: Connection;
  readonly #header = new PacketHeader();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  open(
    id: number,
    method: string,
    payload: Uint8Array | string,
    flags: number = WHOLE,
    inflatedBytes = 0,
  ): void {
    const name = new MethodName(method);
    const bytes = Buffer.from(payload);
    const headerBytes = name.headerBytes + (inflatedBytes === 0 ? 0 : 8);
    const message = this.#connection.alloc(headerBytes + bytes.length);
    if (message === null) throw new Error('no room');
    message.type = typeOf(PacketKind.open, flags);
    message.set(bytes, headerBytes);
    name.write(message, id, 1, inflatedBytes);
    this.#connection.push();
  }

  send(kind: number, flags: number, id: number, word: number, payload: Uint8Array | string = ''): void {
    const bytes = Buffer.from(payload);
    const message = this.#connection.alloc(8 + bytes.length);
    if (message === null) throw new Error('no room');
    message.type = typeOf(kind, flags);
    writeHeader(message, id, word);
    message.set(bytes, 8);
    this.#connection.push();
  }

  /** Says that it knows the messenger that has said hello with this number. */
  hello(answering: number): void {
    const hello: Hello = {
      incarnation: 1,
      begins: true,
      popped: 0,
      windowBytes: LEAST_WINDOW_BYTES,
      requests: LEAST_REQUESTS,
      answering,
      compression: '',
    };
    const message = this.#connection.alloc(helloBytes(hello));
    if (message === null) throw new Error('no room');
    message.type = typeOf(PacketKind.hello, 0);
    writeHello(message, hello);
    this.#connection.push();
  }

  readonly take = (): void => {
    for (let message = this.#connection.front(); message !== null; message = this.#connection.front()) {
      this.#header.read(message);
      const { kind, flags, id, headerBytes } = this.#header;
      this.told.push({ kind, flags, id, payload: Buffer.from(message.bytes().subarray(headerBytes)) });
      this.#connection.pop();
    }
  };

  answerTo(id: number): Told | undefined {
    return this.told.find(
      (one) => one.id === id && (one.flags & Flag.answer) !== 0 && one.kind !== PacketKind.credit,
    );
  }
}

/** A value as msgpack has it. */
const FIVE = Buffer.from([5]);
const TEXT_OF_MANY = Buffer.concat([Buffer.from([0xdb, 0, 1, 0x86, 0xa0]), Buffer.alloc(100_000, 'x')]);

describe('bad input to a messenger', () => {
  let scene: Scene;
  let pair: Pair;
  let raw: RawPeer;
  let ran: unknown[];
  let far: Messenger;
  beforeEach(() => begin({}));
  afterEach(() => scene.end());

  async function begin(options: MessengerOptions): Promise<void> {
    await scene?.end();
    scene = new Scene();
    const capacity = { sendCapacityBytes: 2 ** 20, receiveCapacityBytes: 2 ** 20 };
    pair = await scene.pair('shm', capacity, { onMessage: () => {} });
    raw = new RawPeer(pair.local);
    ran = [];
    far = messenger(pair.remote, { maxRequests: 64, maxValueBytes: 50_000, ...options })
      .handle('echo', (value) => {
        ran.push(value);
        return value;
      })
      .handle('hang', () => new Promise(() => {}));
  }

  async function answer(id: number): Promise<Told> {
    await scene.until(() => {
      raw.take();
      return raw.answerTo(id) !== undefined;
    }, `an answer to ${id}`);
    return raw.answerTo(id) as Told;
  }

  async function failure(id: number, code: string): Promise<void> {
    const { kind, payload } = await answer(id);
    expect(kind).to.equal(PacketKind.fail);
    expect(JSON.parse(payload.toString())).to.include({ code });
  }

  /** Which messenger it is that the peer talks to. */
  async function hello(): Promise<number> {
    const isHello = ({ kind }: Told): boolean => kind === PacketKind.hello;
    await scene.until(() => {
      raw.take();
      return raw.told.some(isHello);
    }, 'a hello');
    return (raw.told.find(isHello) as Told).id;
  }

  /** Another request is answered all the same. */
  async function unharmed(id: number): Promise<void> {
    raw.open(id, 'echo', FIVE);
    const { kind, payload } = await answer(id);
    expect([kind, ...payload]).to.deep.equal([PacketKind.data, 5]);
    expect(pair.remote.state).to.equal('connected');
  }

  it('an unknown method', async () => {
    raw.open(1, 'unknown', FIVE);
    await failure(1, 'ERR_METHOD');
    await unharmed(2);
  });

  it('more than is answered, of one who reads nothing: it is read no more, and keeps nobody awake', async () => {
    let asked = 0;
    let idle = 0;
    while (idle < 50) {
      try {
        raw.open(asked + 1, 'unknown', FIVE);
        asked++;
        idle = 0;
      } catch {
        idle++;
        pair.server.poll();
        await new Promise(setImmediate);
      }
    }
    expect(pair.remote.side.ends.consumer.unseen).to.equal(true);
    // Its promises had their turn before, so it would sleep.
    expect(pair.server.park(performance.now())).to.be.above(0);
    await answer(asked);
    expect(raw.told.filter(({ kind }) => kind === PacketKind.fail)).to.have.length(asked);
  }).timeout(60_000);

  it('a value that the codec does not read', async () => {
    raw.open(1, 'echo', Buffer.from([0xd9]));
    await failure(1, 'ERR_CODEC');
    expect(ran).to.deep.equal([]);
    await unharmed(2);
  });

  it('a value that is too large', async () => {
    raw.open(1, 'echo', TEXT_OF_MANY.subarray(0, 40_000), Flag.first);
    raw.send(PacketKind.data, Flag.last | Flag.end, 1, 0, TEXT_OF_MANY.subarray(40_000));
    await failure(1, 'ERR_LIMIT');
    expect(ran).to.deep.equal([]);
    await unharmed(2);
  });

  it('values that are too large together before they are whole', async () => {
    await begin({ maxIncompleteBytes: 60_000 });
    const part = Buffer.concat([Buffer.from([0xdb, 0, 0, 0x9c, 0x41]), Buffer.alloc(40_000, 'x')]);
    const last = Flag.last | Flag.end;
    raw.open(1, 'echo', part, Flag.first);
    raw.open(2, 'echo', part, Flag.first);
    await failure(2, 'ERR_LIMIT');
    raw.send(PacketKind.data, last, 1, 0, 'x');
    expect((await answer(1)).kind).to.equal(PacketKind.data);
    expect(ran).to.deep.equal(['x'.repeat(40_001)]);
    // What is whole, was given up, or was against the protocol counts no more.
    for (const [id, end] of [
      [3, () => raw.send(PacketKind.cancel, 0, 3, 0)],
      [4, () => raw.send(PacketKind.data, WHOLE, 4, 0, 'x')],
      [5, () => raw.send(PacketKind.data, last, 5, 0, 'x')],
    ] as const) {
      raw.open(id, 'echo', part, Flag.first);
      end();
    }
    expect((await answer(5)).kind).to.equal(PacketKind.data);
    expect(ran).to.have.length(2);
    await unharmed(6);
  });

  it('fragments out of turn', async () => {
    raw.open(1, 'echo', FIVE, Flag.first);
    raw.send(PacketKind.data, WHOLE, 1, 0, FIVE);
    await failure(1, 'ERR_PROTOCOL');
    raw.open(2, 'hang', FIVE, Flag.first | Flag.last);
    raw.send(PacketKind.data, Flag.last, 2, 0, FIVE);
    await failure(2, 'ERR_PROTOCOL');
    raw.open(3, 'hang', FIVE, WHOLE & ~Flag.first);
    await failure(3, 'ERR_PROTOCOL');
    raw.open(4, 'hang', FIVE, WHOLE);
    raw.send(PacketKind.data, WHOLE, 4, 0, FIVE);
    await failure(4, 'ERR_PROTOCOL');
    await unharmed(5);
  });

  it('an answer that is whole within the fragments of another one', async () => {
    raw.hello(await hello());
    const asked = far.request('asked').catch((error: unknown) => error);
    await scene.until(() => {
      raw.take();
      return raw.told.some(({ kind }) => kind === PacketKind.open);
    }, 'the request');
    raw.send(PacketKind.data, Flag.answer | Flag.first, 1, 0, FIVE);
    raw.send(PacketKind.data, Flag.answer | WHOLE, 1, 0, FIVE);
    expect(await scene.settled(asked, 'the end of the request')).to.include({ code: 'ERR_PROTOCOL' });
    await unharmed(1);
  });

  it('a value in pieces of nothing, without end', async () => {
    raw.open(1, 'echo', FIVE, Flag.first);
    for (let sent = 0; sent < 10_000 && raw.answerTo(1) === undefined; sent += 500) {
      for (let n = 0; n < 500; n++) raw.send(PacketKind.data, 0, 1, 0);
      await scene.turn();
      raw.take();
    }
    await failure(1, 'ERR_LIMIT');
    expect(ran).to.deep.equal([]);
    await unharmed(2);
  });

  it('an id that was used before', async () => {
    raw.open(5, 'hang', FIVE);
    raw.open(5, 'echo', FIVE);
    await failure(5, 'ERR_PROTOCOL');
    raw.open(3, 'echo', FIVE);
    await failure(3, 'ERR_PROTOCOL');
    expect(ran).to.deep.equal([]);
    await unharmed(6);
  });

  it('more requests at once than it takes', async () => {
    for (let id = 1; id <= 65; id++) raw.open(id, 'hang', FIVE);
    await failure(65, 'ERR_LIMIT');
    raw.send(PacketKind.cancel, 0, 1, 0);
    await unharmed(66);
  });

  it('more bytes of a flow than were granted', async () => {
    raw.open(1, 'hang', FIVE, Flag.first | Flag.last);
    for (let i = 0; i < 9; i++) {
      raw.send(PacketKind.data, Flag.first | Flag.last | Flag.bytes, 1, 0, Buffer.alloc(32_768));
      await scene.turn();
    }
    await failure(1, 'ERR_PROTOCOL');
    await unharmed(2);
  });

  it('a fragment that inflates to more than it says, to too much, or not at all', async () => {
    await begin({ compression: deflate() });
    const bomb = deflateRawSync(Buffer.alloc(10_000_000));
    raw.open(1, 'echo', bomb, WHOLE | Flag.deflated, 60_000);
    await failure(1, 'ERR_LIMIT');
    raw.open(2, 'echo', bomb, WHOLE | Flag.deflated, 10_000_000);
    await failure(2, 'ERR_PROTOCOL');
    raw.open(3, 'echo', 'no deflate', WHOLE | Flag.deflated, 100);
    await failure(3, 'ERR_LIMIT');
    raw.open(4, 'echo', deflateRawSync(FIVE), WHOLE | Flag.deflated, 2);
    await failure(4, 'ERR_PROTOCOL');
    expect(ran).to.deep.equal([]);
    await unharmed(5);
  });

  it('what is no packet ends the link, and does not come again', async () => {
    raw.open(1, 'hang', FIVE);
    pair.local.send(Buffer.from([1]), 77);
    await scene.until(() => pair.serverEnded.length > 0, 'the end of the link');
    expect(pair.serverEnded[0]).to.include({ reason: 'protocol violated' });
    await scene.until(() => pair.local.state === 'disconnected', 'the client to notice');
    await scene.connect(pair.client, pair.address);
    await unharmed(2);
    expect(pair.serverEnded).to.have.length(1);
  });

  it('what belongs to nothing is dropped as long as it may be for one that is gone', async () => {
    raw.send(PacketKind.data, WHOLE, 9, 0, FIVE);
    raw.send(PacketKind.data, WHOLE | Flag.answer, 9, 0, FIVE);
    raw.send(PacketKind.credit, Flag.answer, 9, 5);
    raw.send(PacketKind.cancel, 0, 9, 0);
    await unharmed(10);
  });
});
