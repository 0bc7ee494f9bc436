import { TcpshmError } from '../errors.js';
import { ringBytes } from '../ring/layout.js';
import { isCapacity, RingMemory } from '../ring/memory.js';
import { ParkingPlace } from '../session/parking.js';

/**
 * The memory between a writer and the thread of its connection. Offsets in bytes:
 *
 *     0          128           256               384
 *     | identity | writer line | connection line | ring (ring/layout.ts), marking its batches
 *       creator    writer        connection
 *
 *     identity          MAGIC          i32
 *                       QUEUE_BYTES    i32  capacity of the queue that the ring leads to
 *     writer line       OWNER          i32  which thread has the writer open (`Owner`)
 *     connection line   CONNECTION     i32  what became of the connection, for this writer (`Fate`)
 *                       PARKING        what wakes the thread of the connection (session/parking.ts)
 */
const LINE_BYTES = 128;

const IDENTITY_LINE = 0;
const MAGIC = IDENTITY_LINE;
const QUEUE_BYTES = MAGIC + 4;
const WRITER_LINE = IDENTITY_LINE + LINE_BYTES;
const OWNER = WRITER_LINE;
const CONNECTION_LINE = WRITER_LINE + LINE_BYTES;
const CONNECTION = CONNECTION_LINE;
const PARKING = CONNECTION + 8;
const RING = CONNECTION_LINE + LINE_BYTES;

/** 'tWri' */
const MAGIC_NUMBER = 0x69725774;

/** Who has a writer open. */
export const Owner = {
  /** Never opened. */
  none: 0,
  /** Given up by `close()`, for good. */
  closed: 1,
  /** The thread ended without closing it: another one may open it. */
  ended: 2,
  /** From here on: it is open in the thread whose id is that much less. */
  thread: 16,
} as const;

/** What became of the connection that a writer is for. */
export const Fate = {
  open: 0,
  closed: 1,
  /** The thread of the connection ended without closing it. */
  ended: 2,
  /** It goes on without this writer, whose memory is damaged. */
  damaged: 3,
} as const;

/**
 * The right to write a connection from another thread: plain data that `postMessage` and `workerData` take as it is,
 * without a transfer. Made by `connection.writer()`, opened by `ConnectionWriter.open`.
 */
export interface WriterHandle {
  readonly kind: 'tcpshm.WriterHandle';
  readonly memory: SharedArrayBuffer;
  /** Of the connection. */
  readonly localName: string;
  readonly remoteName: string;
}

/** The memory of a writer, seen by either side. */
export interface WriterMemory {
  readonly ring: RingMemory;
  readonly queueBytes: number;
  /** One element long: an `Owner`. */
  readonly owner: Int32Array;
  /** One element long: a `Fate`. */
  readonly connection: Int32Array;
  /** Where the thread of the connection says that it sleeps. */
  readonly parking: ParkingPlace;
}

/** Makes the memory of a writer. Both are capacities that a ring can have. */
export function createWriterMemory(capacity: number, queueBytes: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(RING + ringBytes(capacity));
  const words = new Int32Array(buffer, IDENTITY_LINE, LINE_BYTES >> 2);
  words[QUEUE_BYTES >> 2] = queueBytes;
  words[MAGIC >> 2] = MAGIC_NUMBER;
  return buffer;
}

/** The memory of a handle. Throws ERR_OPTION when this is none. */
export function openWriterMemory(handle: WriterHandle): WriterMemory {
  if (handle?.kind !== 'tcpshm.WriterHandle' || !(handle.memory instanceof SharedArrayBuffer)) {
    throw new TcpshmError('ERR_OPTION', `expected what connection.writer() gave, got ${typeof handle}`);
  }
  const { memory } = handle;
  const capacity = memory.byteLength - RING - ringBytes(0);
  const words = capacity > 0 ? new Int32Array(memory, IDENTITY_LINE, LINE_BYTES >> 2) : null;
  const queueBytes = words?.[QUEUE_BYTES >> 2] ?? 0;
  if (!isCapacity(capacity) || !isCapacity(queueBytes) || words?.[MAGIC >> 2] !== MAGIC_NUMBER) {
    throw new TcpshmError(
      'ERR_OPTION',
      `expected the memory that connection.writer() made, got ${memory.byteLength} bytes of something else`,
    );
  }
  return {
    ring: new RingMemory(memory, RING, capacity, true),
    queueBytes,
    owner: new Int32Array(memory, OWNER, 1),
    connection: new Int32Array(memory, CONNECTION, 1),
    parking: new ParkingPlace(memory, PARKING),
  };
}
