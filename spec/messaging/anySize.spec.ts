import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { messenger } from '../../lib/index.js';
import { Scene } from '../peers/support.js';

const { SANITIZED } = process.env;
const MEBIBYTE = 2 ** 20;
/** Through a process that may have a heap of a quarter of it, and half of it resident. */
const MESSAGE_BYTES = 1024 * MEBIBYTE;
const HEAP_BYTES = 256 * MEBIBYTE;
const RESIDENT_BYTES = 512 * MEBIBYTE;
/** What it needs for the message: windows of credit, not its size. */
const LIVE_BYTES = 32 * MEBIBYTE;

/** Sends what it gets back, and tells the most memory that it had: what is live, without what waits to be collected. */
const SERVER = `
  gc();
  let live = 0;
  const base = process.memoryUsage();
  const look = () => {
    gc();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    live = Math.max(live, heapUsed + arrayBuffers - base.heapUsed - base.arrayBuffers);
  };
  const server = new tcpshm.Server({
    name: process.env.NAME,
    directory: process.env.DIRECTORY,
    sharedDirectory: process.env.SHARED,
    onConnection(connection) {
      tcpshm.messenger(connection)
        .handle('echo', async function* (_, { body }) {
          let parts = 0;
          for await (const part of body) {
            if (++parts % 1024 === 0) look();
            yield part;
          }
        })
        .handle('most', () => ({ live, resident: process.resourceUsage().maxRSS * 1024 }));
    },
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  say(port);
  await server.run({ idle: 'yield' });
`;

/** Bytes without a pattern that repeats within what is in memory. */
async function* source(hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for (let at = 0; at < MESSAGE_BYTES; at += MEBIBYTE) {
    const piece = Buffer.alloc(MEBIBYTE);
    for (let i = 0; i < MEBIBYTE; i += 4096) piece.writeUInt32LE(at + i, i);
    hash.update(piece);
    yield piece;
  }
}

describe('a message larger than memory', () => {
  let scene: Scene;
  afterEach(() => scene.end());

  for (const transport of ['shm', 'tcp'] as const) {
    it(`goes through a process over ${transport}, and comes back as it was`, async () => {
      scene = new Scene();
      const { words } = scene.child(SERVER, {
        NAME: scene.serverName,
        DIRECTORY: scene.places.directory,
        SHARED: scene.places.sharedDirectory,
        NODE_OPTIONS: `--max-old-space-size=${HEAP_BYTES / MEBIBYTE}`,
      });
      await scene.until(() => words.length > 0, 'the port');
      const client = scene.client({});
      const connection = await scene.connect(client, { port: Number(words[0]), transport });
      const near = messenger(connection);
      const sent = createHash('sha256');
      const received = createHash('sha256');
      let bytes = 0;
      const exchange = async (): Promise<void> => {
        for await (const part of near.stream<Uint8Array>('echo', null, { body: source(sent) })) {
          received.update(part);
          bytes += part.length;
        }
      };
      let done = false;
      const exchanged = exchange().finally(() => {
        done = true;
      });
      // As long as it takes: only a hang is an error, and that is the runner's.
      while (!done) await scene.turn();
      await exchanged;
      expect(bytes).to.equal(MESSAGE_BYTES);
      expect(received.digest('hex')).to.equal(sent.digest('hex'));
      const most = near.request<{ live: number; resident: number }>('most');
      const { live, resident } = await scene.settled(most, 'the memory of the other process');
      expect(live).to.be.within(1, LIVE_BYTES);
      // AddressSanitizer keeps back what was freed, and has as much again to keep its books.
      if (SANITIZED === undefined) expect(resident).to.be.below(RESIDENT_BYTES);
    }).timeout(300_000);
  }
});
