import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { instrument } from './instrument.js';

const COMPILED = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'lib');

/** Where lib stores to rings: whole folders, and files that may be there or not. */
const FOLDERS = ['ring'];
const FILES = ['memory/copy.js', 'memory/order.js', 'session/checkpoint.js', 'session/segment.js'];

/** A change of the copy: a text of a compiled file, and what takes its place. */
export interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Frames are cut within records only where rings are larger than frames may be: here already in small ones. */
const SMALL_FRAMES: Change = {
  file: 'session/replication.js',
  from: 'const MAX_FRAME_BYTES = 256 * 1024;',
  to: 'const MAX_FRAME_BYTES = 1224;',
};

/** What a side observes by a plain load is a point as well: its peer may act before. */
const OBSERVED: Change = {
  file: 'memory/order.js',
  from: '? (words, index) => words[index]',
  to: '? (words, index) => Atomics.load(words, index)',
};

/** What the simulation runs of lib: a copy with points (crash.ts) before all stores. */
export interface Lib {
  readonly Connection: typeof import('../../lib/connection/connection.js').Connection;
  readonly ClientLogin: typeof import('../../lib/login/clientLogin.js').ClientLogin;
  readonly Reception: typeof import('../../lib/login/reception.js').Reception;
  readonly TcpshmError: typeof import('../../lib/errors.js').TcpshmError;
  readonly Segment: typeof import('../../lib/session/segment.js').Segment;
  readonly beginJournal: typeof import('../../lib/store/journal.js').beginJournal;
  readonly openJournal: typeof import('../../lib/store/journal.js').openJournal;
  readonly checkpointNow: typeof import('../../lib/store/journal.js').checkpointNow;
  readonly EndedLink: typeof import('../../lib/wire/endedLink.js').EndedLink;
  readonly recognise: typeof import('../../lib/store/recognise.js').recognise;
  readonly RingMemory: typeof import('../../lib/ring/memory.js').RingMemory;
  readonly RingProducer: typeof import('../../lib/ring/producer.js').RingProducer;
  readonly RingConsumer: typeof import('../../lib/ring/consumer.js').RingConsumer;
  readonly RingReplica: typeof import('../../lib/ring/replica.js').RingReplica;
}

/** The compiled files of lib that store to rings. */
export function storingFiles(): string[] {
  const inFolders = FOLDERS.flatMap((folder) =>
    readdirSync(join(COMPILED, folder))
      .filter((name) => name.endsWith('.js'))
      .map((name) => `${folder}/${name}`),
  );
  return [...inFolders, ...FILES.filter((file) => existsSync(join(COMPILED, file)))];
}

export function compiledSource(file: string): string {
  return readFileSync(join(COMPILED, file), 'utf8');
}

/** Makes an instrumented copy of lib, and loads it. Each call gives one of its own. */
export async function loadInstrumented(changes: readonly Change[] = []): Promise<Lib> {
  const folder = mkdtempSync(join(tmpdir(), 'tcpshm-simulation-'));
  try {
    cpSync(COMPILED, folder, { recursive: true, filter: (path) => !/\.(?:d\.ts|map)$/.test(path) });
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    for (const { file, from, to } of [SMALL_FRAMES, OBSERVED, ...changes]) {
      const source = readFileSync(join(folder, file), 'utf8');
      if (source.split(from).length !== 2) {
        throw new Error(`${file} should have the text once that is to be changed: ${from}`);
      }
      writeFileSync(
        join(folder, file),
        source.replace(from, () => to),
      );
    }
    const crash = pathToFileURL(join(dirname(fileURLToPath(import.meta.url)), 'crash.js')).href;
    const imported = `import { atomicLoad, atomicStore, point as $point, storeFill, storeSet, storeText } from ${JSON.stringify(crash)};`;
    for (const file of storingFiles()) {
      const { code } = instrument(readFileSync(join(folder, file), 'utf8'), file);
      // In one line with the first one, so that lines keep their numbers.
      writeFileSync(join(folder, file), imported + code);
    }
    return await load((file) => import(pathToFileURL(join(folder, file)).href));
  } finally {
    // All is loaded by now.
    rmSync(folder, { recursive: true, force: true });
  }
}

async function load(get: (file: string) => Promise<unknown>): Promise<Lib> {
  const files = [
    'errors.js',
    'connection/connection.js',
    'login/clientLogin.js',
    'login/reception.js',
    'session/segment.js',
    'store/journal.js',
    'store/recognise.js',
    'wire/endedLink.js',
    'ring/memory.js',
    'ring/producer.js',
    'ring/consumer.js',
    'ring/replica.js',
  ];
  const modules = await Promise.all(files.map(get));
  return Object.assign({}, ...(modules as object[])) as Lib;
}
