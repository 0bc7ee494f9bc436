import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { type Connection, channel, duplex, textCodec, webStreams } from '../../lib/index.js';
import { type Pair, Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';

for (const way of WAYS) {
  describe(`streams over ${way}`, () => {
    let scene: Scene;
    let peers: Pair;
    beforeEach(async () => {
      scene = new Scene();
      peers = await scene.pair(way);
    });
    afterEach(() => scene.end());

    /** One whose end by the end of the scene is no error of the spec. */
    function open(connection: Connection): Duplex {
      return duplex(connection).on('error', () => {});
    }

    async function hashOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
      const hash = createHash('sha256');
      for await (const bytes of stream) hash.update(bytes);
      return hash.digest('hex');
    }

    it('carry bytes many times the size of the queue, both ways at once', async () => {
      const near = open(peers.local);
      const far = open(peers.remote);
      const bytes = randomBytes(300_000);
      const echo = pipeline(far, far);
      near.end(bytes);
      const hash = await scene.settled(hashOf(near), 'all of it');
      await scene.settled(echo, 'the end of the echo');
      expect(hash).to.equal(createHash('sha256').update(bytes).digest('hex'));
    });

    it('press back: what nobody reads is not taken', async () => {
      const near = open(peers.local);
      const far = open(peers.remote);
      let written = 0;
      while (near.write(Buffer.alloc(1000)) && written < 1000) written++;
      for (let i = 0; i < 50; i++) await scene.turn();
      expect(near.writableNeedDrain).to.equal(true);
      expect(far.readableLength).to.be.below(70_000);
      const drained = new Promise((resolve) => near.once('drain', resolve));
      far.resume();
      await scene.settled(drained, 'a drain');
    });

    it('end in one direction and go on in the other', async () => {
      const near = open(peers.local);
      const far = open(peers.remote);
      near.end('question');
      const asked: Buffer[] = [];
      far.on('data', (bytes: Buffer) => asked.push(bytes));
      await scene.settled(new Promise((resolve) => far.once('end', resolve)), 'the end of the question');
      expect(Buffer.concat(asked).toString()).to.equal('question');
      far.end('answer');
      let answer = '';
      const reading = (async () => {
        for await (const bytes of near) answer += String(bytes);
      })();
      await scene.settled(reading, 'the answer');
      expect(answer).to.equal('answer');
      expect(peers.local.state).to.equal('connected');
    });

    it('tell the peer of an error', async () => {
      const near = open(peers.local);
      const far = open(peers.remote);
      const failing = (stream: Duplex): Promise<Error> =>
        finished(stream).then(
          () => new Error('no error'),
          (error: Error) => error,
        );
      const both = Promise.all([failing(near), failing(far)]);
      far.resume();
      near.destroy(new Error('out of paper'));
      const [here, there] = await scene.settled(both, 'both errors');
      expect(here.message).to.equal('out of paper');
      expect(there).to.have.property('code', 'ERR_CLOSED');
      expect(there.message).to.match(/out of paper/);
    });

    it('are destroyed when the connection is closed before their end', async () => {
      const near = open(peers.local);
      const ended = finished(near.resume()).catch((error: unknown) => error);
      peers.local.close();
      expect(await ended).to.have.property('code', 'ERR_CLOSED');
    });

    it('are those of the web, too', async () => {
      const near = webStreams(peers.local);
      const far = webStreams(peers.remote);
      const bytes = randomBytes(50_000);
      const echo = far.readable.pipeTo(far.writable);
      const writing = (async () => {
        const writer = near.writable.getWriter();
        await writer.write(bytes);
        await writer.close();
      })();
      const hash = await scene.settled(hashOf(near.readable), 'all of it');
      await scene.settled(Promise.all([echo, writing]), 'the ends');
      expect(hash).to.equal(createHash('sha256').update(bytes).digest('hex'));
    });

    it('have a connection for themselves', () => {
      open(peers.local);
      expectCode(() => duplex(peers.local), 'ERR_BUSY');
      expectCode(() => channel(peers.local, textCodec), 'ERR_BUSY');
      expectCode(() => duplex(peers.remote, { messageBytes: 0 }), 'ERR_OPTION');
      peers.remote.close();
      expectCode(() => duplex(peers.remote), 'ERR_CLOSED');
    });
  });
}
