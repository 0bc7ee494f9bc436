import { createHash } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import { deflate } from '../../lib/index.js';
import { WAYS } from '../peers/support.js';
import { Random, randomSeed } from '../support/random.js';
import { gate, type Talk, talk } from './support.js';

/** Bytes that follow from a seed, in pieces of all sizes. */
function* pieces(seed: number, totalBytes: number): Generator<Buffer> {
  const random = new Random(seed);
  for (let left = totalBytes; left > 0; ) {
    const size = Math.min(left, random.between(1, 200_000));
    const piece = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) piece.writeUInt32LE(random.next(), at);
    left -= size;
    yield piece;
  }
}

async function digest(
  parts: AsyncIterable<unknown> | Iterable<unknown>,
): Promise<{ bytes: number; sum: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of parts) {
    hash.update(part as Uint8Array);
    bytes += (part as Uint8Array).length;
  }
  return { bytes, sum: hash.digest('hex') };
}

for (const way of WAYS) {
  describe(`streams over ${way}`, () => {
    const seed = randomSeed();
    let it_: Talk;
    beforeEach(async () => {
      it_ = await talk(way);
    });
    afterEach(() => it_.scene.end());

    it('give answers in parts, as they are', async () => {
      const { near, far, settled } = it_;
      far.handle('count', async function* (to: number) {
        for (let i = 0; i < to; i++) yield { i, list: [i] };
      });
      for (const parts of [0, 1, 2, 3, 4, 1000]) {
        const got: unknown[] = [];
        const read = async (): Promise<void> => {
          for await (const part of near.stream('count', parts)) got.push(part);
        };
        await settled(read());
        expect(got).to.deep.equal(Array.from({ length: parts }, (_, i) => ({ i, list: [i] })));
      }
    });

    it(`carry bytes of any number up, down and back, byte for byte (seed ${seed})`, async () => {
      const { near, far, settled } = it_;
      const totalBytes = 3_000_000;
      const expected = await digest(pieces(seed, totalBytes));
      far
        .handle('up', (_, { body }) => digest(body))
        .handle('down', async function* () {
          yield* pieces(seed, totalBytes);
        })
        .handle('back', async function* (_, { body }) {
          yield* body;
        });
      expect(await settled(near.request('up', null, { body: pieces(seed, totalBytes) }))).to.deep.equal(
        expected,
      );
      expect(await settled(digest(near.stream('down')))).to.deep.equal(expected);
      const back = near.stream('back', null, { body: Readable.from(pieces(seed, totalBytes)) });
      expect(await settled(digest(back))).to.deep.equal(expected);
      expect(near.load).to.deep.equal({ waiting: 0, open: 0 });
    });

    it(`use the memory of parts again where the reader says so, and only then (seed ${seed})`, async () => {
      const { near, far, settled } = it_;
      const totalBytes = 3_000_000;
      const expected = await digest(pieces(seed, totalBytes));
      const memories = new Set<ArrayBufferLike>();
      let parts = 0;
      async function* noted(body: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
        for await (const part of body as AsyncIterable<Uint8Array>) {
          if (part.length >= 4096) {
            memories.add(part.buffer);
            parts++;
          }
          yield part;
        }
      }
      const once = async (read: () => Promise<unknown>): Promise<{ share: number }> => {
        memories.clear();
        parts = 0;
        expect(await settled(read())).to.deep.equal(expected);
        return { share: memories.size / parts };
      };
      far
        .handle('kept', (_, { body }) => digest(noted(body)))
        .handle('reused', (_, { body }) => digest(noted(body.reusing())))
        .handle('back', async function* (_, { body }) {
          yield* body.reusing();
        });
      const up = (method: string) => () => near.request(method, null, { body: pieces(seed, totalBytes) });
      expect((await once(up('kept'))).share).to.equal(1);
      expect((await once(up('reused'))).share).to.be.below(0.5);
      const back = () => near.stream('back', null, { body: pieces(seed, totalBytes) });
      expect((await once(() => digest(noted(back())))).share).to.equal(1);
      expect((await once(() => digest(noted(back().reusing())))).share).to.be.below(0.5);
    });

    it('leave values as they are, and memory that was given away, where they use that of parts again', async () => {
      const { near, far, settled } = it_;
      far.handle('mixed', async function* () {
        for (let i = 0; i < 40; i++) {
          yield { bytes: Buffer.alloc(10_000, i) };
          yield Buffer.alloc(10_000, i);
        }
      });
      const values: Uint8Array[] = [];
      const given: { readonly bytes: Uint8Array; readonly of: number }[] = [];
      const read = async (): Promise<void> => {
        for await (const part of near.stream<Uint8Array | { bytes: Uint8Array }>('mixed').reusing()) {
          if (!(part instanceof Uint8Array)) {
            values.push(part.bytes);
            continue;
          }
          // Bytes come in parts as the fragments make them.
          const of = values.length - 1;
          expect(part.every((byte) => byte === of)).to.equal(true);
          if (of >= 20) continue;
          const bytes = structuredClone(part, { transfer: [part.buffer as ArrayBuffer] });
          given.push({ bytes, of });
        }
      };
      await settled(read());
      expect(values.map((bytes) => [bytes[0], bytes.length])).to.deep.equal(
        Array.from({ length: 40 }, (_, i) => [i, 10_000]),
      );
      expect(given.reduce((sum, { bytes }) => sum + bytes.length, 0)).to.equal(20 * 10_000);
      for (const { bytes, of } of given) expect(bytes.every((byte) => byte === of)).to.equal(true);
    });

    it('carry a file', async () => {
      const { near, far, scene, settled } = it_;
      const path = join(scene.folders.directory, 'upload');
      writeFileSync(path, Buffer.concat([...pieces(seed, 1_500_000)]));
      const expected = await digest(createReadStream(path));
      far
        .handle('up', (_, { body }) => digest(body))
        .handle('down', () => createReadStream(path, { highWaterMark: 100_000 }));
      expect(await settled(near.request('up', 'name', { body: createReadStream(path) }))).to.deep.equal(
        expected,
      );
      expect(await settled(digest(near.stream('down')))).to.deep.equal(expected);
    });

    it('that nobody reads hold their sender back, and stop no other', async () => {
      const { near, far, scene, settled } = it_;
      const produced = { up: 0, down: 0 };
      const end = gate();
      async function* endless(which: 'up' | 'down'): AsyncGenerator<Buffer> {
        for (;;) {
          produced[which] += 10_000;
          yield Buffer.alloc(10_000);
        }
      }
      far
        .handle('up', () => end.opened)
        .handle('down', () => endless('down'))
        .handle('echo', (value) => value);
      const up = near.request('up', null, { body: endless('up') });
      const down = near.stream('down');
      for (let i = 0; i < 400; i++) await scene.turn();
      const before = { ...produced };
      const echoes = Array.from({ length: 100 }, (_, i) => near.request('echo', i));
      expect(await settled(Promise.all(echoes))).to.have.length(100);
      expect(produced, 'both stand still').to.deep.equal(before);
      // The window, what the ring holds, and the part that waits.
      for (const bytes of Object.values(produced)) expect(bytes).to.be.within(100_000, 400_000);
      end.open();
      await settled(up);
      await settled(down.return?.() as Promise<unknown>);
      expect(await settled(near.request('echo', 1))).to.equal(1);
    });

    it('end the source of the other side when their loop is left', async () => {
      const { near, far, scene, settled } = it_;
      let ended = false;
      far.handle('endless', async function* () {
        try {
          for (let i = 0; ; i++) yield i;
        } finally {
          ended = true;
        }
      });
      const read = async (): Promise<unknown> => {
        for await (const part of near.stream('endless')) if (part === 10) return part;
        return null;
      };
      expect(await settled(read())).to.equal(10);
      await scene.until(() => ended, 'the end of the source');
    });

    it('hand on the error of their source', async () => {
      const { near, far, rejected, scene, settled } = it_;
      let heard: unknown = null;
      far
        .handle('down', async function* () {
          yield 1;
          throw new Error('of the source');
        })
        .handle('up', async (_, { body }) => {
          try {
            for await (const _part of body);
          } catch (error) {
            heard = error;
            throw error;
          }
        });
      const read = async (): Promise<void> => {
        for await (const part of near.stream('down')) expect(part).to.equal(1);
      };
      expect((await rejected(read(), 'ERR_ANSWER')).cause).to.include({ message: 'of the source' });
      async function* failing(): AsyncGenerator<number> {
        yield 1;
        throw new Error('of the body');
      }
      const up = near.request('up', null, { body: failing() }).catch((error: unknown) => error);
      expect(String(await settled(up))).to.match(/of the body/);
      await scene.until(() => heard !== null, 'the handler to be told');
    });
  });
}

describe('small messages', () => {
  it('overtake large ones', async () => {
    const { near, far, scene, settled } = await talk('shm');
    const order: string[] = [];
    far.handle('take', (value: string) => void order.push(value.length > 1000 ? 'large' : 'small'));
    const large = Array.from({ length: 4 }, () => near.request('take', 'x'.repeat(2_000_000)));
    await scene.turn();
    const small = Array.from({ length: 50 }, () => near.request('take', 'x'));
    await settled(Promise.all([...large, ...small]));
    expect(order).to.deep.equal([...Array(50).fill('small'), ...Array(4).fill('large')]);
    await scene.end();
  });

  for (const way of ['shm', 'inproc'] as const) {
    it(`have little of large ones before them in a large queue, over ${way}`, async () => {
      const it_ = await talk(way, { capacityBytes: 2 ** 20 });
      try {
        it_.far.handle('take', async (_, { body }) => (await digest(body as AsyncIterable<unknown>)).bytes);
        const taken = it_.near.request('take', null, { body: pieces(1, 2 ** 21) });
        let most = 0;
        let over = false;
        taken.then(() => {
          over = true;
        });
        while (!over) {
          await it_.turns(1);
          most = Math.max(most, it_.pair.local.stats().outgoing.depthBytes);
        }
        expect(await taken).to.equal(2 ** 21);
        // Three fragments, and one that was pushed when there was room for it still.
        expect(most).to.be.within(16_384, 70_000);
      } finally {
        await it_.scene.end();
      }
    });
  }

  it('of a higher priority go first', async () => {
    const { near, far, scene, settled } = await talk('shm', { capacityBytes: 4096 });
    const order: string[] = [];
    far.handle('take', (value: string) => void order.push(value.slice(0, 1)));
    const send = (what: string, priority: 'low' | 'high'): Promise<unknown> =>
      near.request('take', what.repeat(300), { priority });
    const all = [
      ...Array.from({ length: 40 }, () => send('l', 'low')),
      ...Array.from({ length: 20 }, () => send('h', 'high')),
    ];
    await settled(Promise.all(all));
    const lastHigh = order.lastIndexOf('h');
    // Some were in the ring before, and some have their turn so that they do not starve.
    expect(order.slice(0, lastHigh).filter((what) => what === 'l').length).to.be.below(20);
    await scene.end();
  });
});

describe('compression', () => {
  it('makes what can be made smaller smaller on the wire, and gives it back', async () => {
    const plain = await talk('shm', { capacityBytes: 2 ** 20 });
    const deflated = await talk('shm', { capacityBytes: 2 ** 20, compression: deflate() });
    const text = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => ({ i, name: `name ${i}` })));
    const pushed: number[] = [];
    for (const { near, far, scene, settled } of [plain, deflated]) {
      let bytes = 0;
      const { producer } = near.connection.side.ends;
      const begin = producer.published;
      far.handle('echo', (value) => value).handle('up', (_, { body }) => digest(body));
      expect(await settled(near.request('echo', text))).to.equal(text);
      const body = [Buffer.from(text), Buffer.from(text)];
      expect(await settled(near.request('up', 1, { body }))).to.deep.equal(await digest(body));
      bytes = producer.published - begin;
      pushed.push(bytes);
      await scene.end();
    }
    expect(pushed[1] as number).to.be.below((pushed[0] as number) / 3);
  });

  it('is not used towards a peer that has none', async () => {
    const { near, far, scene, settled } = await talk('shm', { compression: deflate(), far: {} });
    far.handle('echo', (value) => value);
    const text = 'x'.repeat(100_000);
    expect(await settled(near.request('echo', text))).to.equal(text);
    await scene.end();
  });
});
