/**
 * What it takes to have one message on the disk: push and `await flush()`, next to the same by hand, a write of 64
 * bytes and an `fdatasync`, on a file of the same size in the same file system. One of each in turn, in changing order,
 * so that whatever else the disk does meets all of them.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { native } from '../../lib/memory/native.js';
import { temporaryFolder } from '../cleanup.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { type Peers, startPeers } from './peers.js';

const CAPACITY_BYTES = 2 ** 20;
/** A journal has two rings; the one of the answers is small. */
const FILE_BYTES = CAPACITY_BYTES + 2 ** 16;
const RECORD_BYTES = PAYLOAD_BYTES + 8;
const NS_PER_MS = 1e6;

export interface FlushEffort {
  /** Of each kind, in a slice; after each the queue is emptied. */
  readonly perSlice: number;
  readonly slices: number;
  /** Slices before these, which are not counted: what runs once in a sync needs long to be compiled. */
  readonly warmUp: number;
}

/** Times of one slice in nanoseconds, each of a single write or push and what makes it safe. */
export interface FlushSlice {
  /** `fdatasyncSync`: the thread waits. */
  readonly blocking: readonly number[];
  /** `fdatasync` in node's pool, awaited. */
  readonly awaited: readonly number[];
  /** `push` and `await flush()`. */
  readonly flush: readonly number[];
}

/** With `driven` the client is driven by `run()` meanwhile; else nothing polls it, and the event loop is idle. */
export async function measureFlush(
  directory: string,
  { perSlice, slices, warmUp }: FlushEffort,
  driven: boolean,
): Promise<readonly FlushSlice[]> {
  const folder = temporaryFolder(directory);
  let raw: RawFile | null = null;
  let peers: Peers | null = null;
  try {
    raw = new RawFile(join(folder.path, 'raw'));
    // The other side's disk would be another one.
    peers = await startPeers({
      directory,
      durability: 'disk',
      serverDurability: 'process',
      pace: 'timer',
      burst: perSlice,
      capacityBytes: CAPACITY_BYTES,
    });
    const taken: FlushSlice[] = [];
    for (let i = 0; i < warmUp + slices; i++) {
      const stop = new AbortController();
      const driver = driven ? peers.client.run({ signal: stop.signal }) : undefined;
      const slice = await takeSlice(raw, peers, perSlice);
      stop.abort();
      await driver;
      peers.finishBurst();
      if (i >= warmUp) taken.push(slice);
    }
    return taken;
  } finally {
    await peers?.stop();
    raw?.close();
    folder.remove();
  }
}

async function takeSlice(raw: RawFile, peers: Peers, count: number): Promise<FlushSlice> {
  const slice = { blocking: [] as number[], awaited: [] as number[], flush: [] as number[] };
  const kinds = [
    { times: slice.blocking, act: () => raw.syncBlocking() },
    { times: slice.awaited, act: () => raw.syncAwaited() },
    { times: slice.flush, act: () => pushAndFlush(peers) },
  ];
  for (let i = 0; i < count; i++) {
    for (let turn = 0; turn < kinds.length; turn++) {
      const { times, act } = kinds[(i + turn) % kinds.length] as (typeof kinds)[number];
      const start = performance.now();
      const ended = act();
      if (ended !== undefined) await ended;
      times.push((performance.now() - start) * NS_PER_MS);
    }
  }
  return slice;
}

function pushAndFlush({ connection, tally }: Peers): Promise<void> {
  const message = connection.alloc(PAYLOAD_BYTES);
  if (message === null) throw new Error('the queue is full, though it was emptied');
  tally.write(message);
  connection.push();
  return connection.flush();
}

/** A file that was reserved as journals are, written to record by record. */
class RawFile {
  readonly #descriptor: number;
  readonly #record = Buffer.alloc(PAYLOAD_BYTES);
  #at = 0;

  constructor(path: string) {
    native().mapFile(path, { create: true, sizeBytes: FILE_BYTES }).close();
    this.#descriptor = openSync(path, 'r+');
  }

  syncBlocking(): void {
    this.#write();
    fdatasyncSync(this.#descriptor);
  }

  syncAwaited(): Promise<void> {
    this.#write();
    return new Promise((resolve, reject) => {
      fdatasync(this.#descriptor, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #write(): void {
    this.#record.fill(this.#at & 0xff);
    writeSync(this.#descriptor, this.#record, 0, PAYLOAD_BYTES, this.#at);
    this.#at = (this.#at + RECORD_BYTES) % (FILE_BYTES - RECORD_BYTES);
  }
}
