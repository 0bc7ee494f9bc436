/**
 * Sends bytes, far more than there is memory, through a process that may have little of it, and has them come back.
 *
 *   this process ── request, its body ──► process of at most 256 MiB of heap and 512 MiB in all
 *                ◄─ answer, in parts ───
 */
import { createHash, type Hash } from 'node:crypto';
import { messenger } from '../../lib/index.js';
import { Scene } from '../peers/support.js';
import type { LargeArguments } from './arguments.js';

const MEBIBYTE = 2 ** 20;
const HEAP_MEBIBYTES = 256;
export const RESIDENT_MEBIBYTES = 512;
/** What is on its way at a time: so that neither waits for the other one's turn of the processor all the time. */
const MESSENGER = { windowBytes: 8 * MEBIBYTE, fragmentBytes: 65_536 };
const PROGRESS_BYTES = 2 ** 30;

export interface LargeReport {
  readonly transport: LargeArguments['transport'];
  readonly bytes: number;
  readonly seconds: number;
  /** Whether what came back is what was sent. */
  readonly equal: boolean;
  /** Most that was resident of the other process, by its kernel. */
  readonly residentMebibytes: number;
}

const SERVER = `
import { readFileSync } from 'node:fs';
const server = new tcpshm.Server({
  name: process.env.NAME,
  directory: process.env.DIRECTORY,
  sharedDirectory: process.env.SHARED,
  sendCapacityBytes: 2 ** 22,
  receiveCapacityBytes: 2 ** 22,
  onConnection(connection) {
    tcpshm.messenger(connection, ${JSON.stringify(MESSENGER)})
      .handle('echo', (_, { body }) => body)
      .handle('resident', () => Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024);
  },
});
say((await server.listen({ host: '127.0.0.1', port: 0 })).port);
await server.run({ idle: 'yield' });
`;

/** Blocks of a mebibyte, each another one. */
async function* blocks(totalBytes: number, hash: Hash): AsyncGenerator<Buffer> {
  for (let at = 0; at < totalBytes; at += MEBIBYTE) {
    const block = Buffer.alloc(Math.min(MEBIBYTE, totalBytes - at));
    for (let i = 0; i + 8 <= block.length; i += 4096) block.writeDoubleLE(at + i, i);
    hash.update(block);
    yield block;
  }
}

/** Throws when the other process dies, and when `signal` aborts. */
export async function soakLarge(
  { transport, gibibytes }: LargeArguments,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<LargeReport> {
  const scene = new Scene();
  const totalBytes = Math.round(gibibytes * 2 ** 30);
  try {
    const { directory, sharedDirectory } = scene.places;
    const { child, words } = scene.child(
      SERVER,
      { NAME: scene.serverName, DIRECTORY: directory, SHARED: sharedDirectory },
      4096,
      [],
      [`--max-old-space-size=${HEAP_MEBIBYTES}`],
    );
    const check = (): boolean => {
      signal.throwIfAborted();
      if (child.exitCode === null && child.signalCode === null) return true;
      throw new Error(`the other process has ended, with ${child.signalCode ?? child.exitCode}`);
    };
    await scene.until(() => check() && words.length > 0, 'the port');
    const address = { port: Number(words[0]), transport };
    const near = messenger(await scene.connect(scene.client(), address), MESSENGER);
    const sent = createHash('sha256');
    const received = createHash('sha256');
    let bytes = 0;
    const exchange = async (): Promise<void> => {
      const answer = near.stream<Uint8Array>('echo', null, { body: blocks(totalBytes, sent) });
      for await (const part of answer) {
        received.update(part);
        const before = bytes;
        bytes += part.length;
        const whole = Math.floor(bytes / PROGRESS_BYTES);
        if (whole > Math.floor(before / PROGRESS_BYTES)) progress(`${whole} GiB came back`);
      }
    };
    const from = performance.now();
    let done = false;
    const exchanged = exchange().finally(() => {
      done = true;
    });
    exchanged.catch(() => {});
    while (!done && check()) await scene.turn();
    await exchanged;
    const seconds = (performance.now() - from) / 1000;
    const equal = bytes === totalBytes && received.digest('hex') === sent.digest('hex');
    const residentMebibytes = await scene.settled(
      near.request<number>('resident'),
      'the size of the process',
    );
    return { transport, bytes, seconds, equal, residentMebibytes };
  } finally {
    await scene.end();
  }
}

export function isLargeFaulty({ equal, residentMebibytes }: LargeReport): boolean {
  return !equal || residentMebibytes > RESIDENT_MEBIBYTES;
}
