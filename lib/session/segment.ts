import { TcpshmError } from '../errors.js';
import { ALIGNMENT, ringBytes } from '../ring/layout.js';
import { checkCapacity, RingMemory } from '../ring/memory.js';
import { MAX_NAME, type Role } from './names.js';
import { ParkingPlace } from './parking.js';

/**
 * The layout of a segment, which is one session: the same bytes in a SharedArrayBuffer, in a file of /dev/shm and
 * in a journal. Offsets in bytes:
 *
 *     0            256           384           512
 *     | superblock | client line | server line | ring client→server | ring server→client | checkpoints |
 *       creator      client        server                                                  owner of the journal
 *
 *     superblock    MAGIC          8 bytes
 *                   VERSION        u32, written last and checked first
 *                   BYTE_ORDER     u32 0x01020304, in the order of the machine
 *                   ALIGNED        u32, alignment of records
 *                   CAPACITIES     2 × u32, client→server and server→client
 *                   SESSION_ID     16 characters of ASCII, hexadecimal
 *                   BOOT_ID        36 characters of ASCII, of the boot in which it was last opened, or zeroes
 *                   KIND           u32, 1 for a journal, which one side has for itself, 0 for memory that both share
 *                   MOVED          i32, 1 once the session has moved to a fresh file, or is about to
 *                   EPOCHS         2 × i32, client and server: how often the side was opened
 *                   INODE          f64, number of the file that a journal was last opened as
 *                   NAMES          2 × 64 bytes, client and server, ending with a zero
 *     side's line   PRESENCE       i32 (presence.ts)
 *                   TENURE         3 × f64: process id, timeout in milliseconds, last sign of life (tenure.ts)
 *                   PARKING        2 × i32 and 80 characters of ASCII: what wakes the side (parking.ts)
 *     checkpoints   of a journal only, from a multiple of 4096: 2 × 4096 bytes (checkpoint.ts)
 */
const MAGIC = 0;
const VERSION = MAGIC + 8;
const BYTE_ORDER = VERSION + 4;
const ALIGNED = BYTE_ORDER + 4;
const CAPACITIES = ALIGNED + 4;
const SESSION_ID = CAPACITIES + 8;
const SESSION_ID_BYTES = 16;
const BOOT_ID = SESSION_ID + SESSION_ID_BYTES;
const BOOT_ID_BYTES = 36;
const KIND = BOOT_ID + BOOT_ID_BYTES;
const MOVED = KIND + 4;
const EPOCHS = MOVED + 4;
const INODE = EPOCHS + 8;
const NAME_BYTES = MAX_NAME + 1;
const NAMES = 128;
const CLIENT_LINE = NAMES + 2 * NAME_BYTES;
const SERVER_LINE = CLIENT_LINE + 128;
const RINGS = SERVER_LINE + 128;
/** Within a side's line. */
const PRESENCE = 0;
const TENURE = PRESENCE + 8;
const PARKING = TENURE + 3 * 8;

/** Index of a side's parking in {@link Segment.notices}. */
export const NOTICE_PARKED: Readonly<Record<Role, number>> = {
  client: (CLIENT_LINE + PARKING - MOVED) >> 2,
  server: (SERVER_LINE + PARKING - MOVED) >> 2,
};

/** What storage writes as a whole, at best. */
export const PAGE_BYTES = 4096;
/** Two checkpoints, each in a page of its own: the one that is being written cannot harm the other. */
const CHECKPOINTS_BYTES = 2 * PAGE_BYTES;

const MAGIC_TEXT = 'TCPSHM\r\n';
const LAYOUT_VERSION = 1;
const BYTE_ORDER_MARK = 0x01020304;
const BYTE_ORDER_SWAPPED = 0x04030201;

/** Bytes of the smallest file that can be looked at. */
export const SUPERBLOCK_BYTES = RINGS;

/** Capacity in bytes of each direction. */
export interface Capacities {
  readonly clientToServer: number;
  readonly serverToClient: number;
}

/** Whose session it is, and how large. */
export interface Identity extends Capacities {
  readonly client: string;
  readonly server: string;
  /** 64 random bits, 16 hexadecimal digits. */
  readonly sessionId: string;
  /** Of the boot in which the segment was last opened; empty where that does not matter. */
  readonly bootId: string;
  /** Whether it is one side's own copy in a file, with checkpoints. */
  readonly journal: boolean;
}

export function segmentBytes(size: Capacities & Pick<Identity, 'journal'>): number {
  return size.journal ? checkpointsAt(size) + CHECKPOINTS_BYTES : endOfRings(size);
}

function endOfRings({ clientToServer, serverToClient }: Capacities): number {
  return RINGS + ringBytes(clientToServer) + ringBytes(serverToClient);
}

function checkpointsAt(capacities: Capacities): number {
  return Math.ceil(endOfRings(capacities) / PAGE_BYTES) * PAGE_BYTES;
}

/** Writes the superblock into zeroed memory. */
export function formatSegment(buffer: ArrayBufferLike, identity: Identity): void {
  const bytes = Buffer.from(buffer as ArrayBuffer, 0, RINGS);
  const words = new Uint32Array(buffer, 0, RINGS >> 2);
  bytes.write(MAGIC_TEXT, MAGIC, 'latin1');
  words[BYTE_ORDER >> 2] = BYTE_ORDER_MARK;
  words[ALIGNED >> 2] = ALIGNMENT;
  words[CAPACITIES >> 2] = identity.clientToServer;
  words[(CAPACITIES >> 2) + 1] = identity.serverToClient;
  bytes.write(identity.sessionId, SESSION_ID, SESSION_ID_BYTES, 'latin1');
  bytes.write(identity.bootId, BOOT_ID, BOOT_ID_BYTES, 'latin1');
  words[KIND >> 2] = identity.journal ? 1 : 0;
  bytes.write(identity.client, NAMES, MAX_NAME, 'latin1');
  bytes.write(identity.server, NAMES + NAME_BYTES, MAX_NAME, 'latin1');
  // COMPLETE the superblock; observed by readIdentity(). A segment without a version was never in use.
  Atomics.store(words, VERSION >> 2, LAYOUT_VERSION);
}

/**
 * Reads a superblock: null when its creation was never finished. `where` names the segment in errors. Throws
 * ERR_SEGMENT with what was expected and what is there.
 */
export function readIdentity(buffer: ArrayBufferLike, where: string): Identity | null {
  const wrong = (what: string, expected: string | number, got: string | number): TcpshmError =>
    new TcpshmError(
      'ERR_SEGMENT',
      `${where} is not a usable segment: expected ${what} ${expected}, got ${got}`,
    );
  if (buffer.byteLength < RINGS) throw wrong('a size of at least', RINGS, `${buffer.byteLength} bytes`);
  const bytes = Buffer.from(buffer as ArrayBuffer, 0, RINGS);
  const words = new Uint32Array(buffer, 0, RINGS >> 2);
  const version = Atomics.load(words, VERSION >> 2);
  const magic = bytes.toString('latin1', MAGIC, MAGIC + MAGIC_TEXT.length);
  if (version === 0 && (magic === MAGIC_TEXT || bytes.every((byte) => byte === 0))) return null;
  if (magic !== MAGIC_TEXT)
    throw wrong('it to start with', JSON.stringify(MAGIC_TEXT), JSON.stringify(magic));
  const order = words[BYTE_ORDER >> 2] as number;
  if (order === BYTE_ORDER_SWAPPED) throw wrong('the byte order of', 'this machine', 'the other one');
  if (version !== LAYOUT_VERSION) throw wrong('layout version', LAYOUT_VERSION, version);
  if (order !== BYTE_ORDER_MARK) throw wrong('byte-order mark', BYTE_ORDER_MARK, order);
  const alignment = words[ALIGNED >> 2] as number;
  if (alignment !== ALIGNMENT) throw wrong('record alignment', ALIGNMENT, alignment);
  const kind = words[KIND >> 2] as number;
  if (kind > 1) throw wrong('kind', '0 or 1', kind);
  const text = (start: number, length: number): string =>
    bytes.toString('latin1', start, start + length).replace(/\0+$/, '');
  const identity = {
    client: text(NAMES, NAME_BYTES),
    server: text(NAMES + NAME_BYTES, NAME_BYTES),
    sessionId: text(SESSION_ID, SESSION_ID_BYTES),
    bootId: text(BOOT_ID, BOOT_ID_BYTES),
    journal: kind === 1,
    clientToServer: words[CAPACITIES >> 2] as number,
    serverToClient: words[(CAPACITIES >> 2) + 1] as number,
  };
  try {
    checkCapacity(identity.clientToServer, `capacity client→server of ${where}`);
    checkCapacity(identity.serverToClient, `capacity server→client of ${where}`);
  } catch (cause) {
    throw new TcpshmError(
      'ERR_SEGMENT',
      `${where} is not a usable segment: ${(cause as Error).message}`,
      cause,
    );
  }
  const size = segmentBytes(identity);
  if (buffer.byteLength !== size) throw wrong('a size of', size, `${buffer.byteLength} bytes`);
  return identity;
}

/** Throws ERR_SEGMENT unless a segment is the one that was asked for. Only what `expected` holds is compared. */
export function checkIdentity(identity: Identity, expected: Partial<Identity>, where: string): void {
  for (const key of Object.keys(expected) as (keyof Identity)[]) {
    if (identity[key] !== expected[key]) {
      throw new TcpshmError(
        'ERR_SEGMENT',
        `${where} is not the segment asked for: expected ${key} ${expected[key]}, got ${identity[key]}`,
      );
    }
  }
}

/** A formatted segment: its identity and memory, seen as two rings. Owns nothing: its store closes the memory. */
export class Segment {
  readonly identity: Identity;
  readonly clientToServer: RingMemory;
  readonly serverToClient: RingMemory;
  /** Each side's presence word, one element long. */
  readonly presence: Readonly<Record<Role, Int32Array>>;
  /** Who has each side open, three elements long (tenure.ts). */
  readonly tenure: Readonly<Record<Role, Float64Array>>;
  /** Where each side says that it sleeps, and how to wake it. */
  readonly parking: Readonly<Record<Role, ParkingPlace>>;
  /** How often each side was opened, one element long: who opens it writes it, holding the side's lock. */
  readonly epoch: Readonly<Record<Role, Int32Array>>;
  /**
   * What every call looks at, in one array as that costs least: the first element is not 0 once the session has moved to
   * a fresh file, or is about to (who moves it writes it); that at `NOTICE_PARKED` of a side not while it sleeps.
   */
  readonly notices: Int32Array;
  /** The two pages of checkpoints of a journal. */
  readonly checkpoints: readonly [Int32Array, Int32Array] | null;
  /** One element long: number of the file that a journal was last opened as. */
  readonly inode: Float64Array;
  readonly #bootId: Buffer;

  constructor(buffer: ArrayBufferLike, identity: Identity) {
    this.identity = identity;
    this.clientToServer = new RingMemory(buffer, RINGS, identity.clientToServer);
    this.serverToClient = new RingMemory(
      buffer,
      RINGS + ringBytes(identity.clientToServer),
      identity.serverToClient,
    );
    this.presence = {
      client: new Int32Array(buffer, CLIENT_LINE + PRESENCE, 1),
      server: new Int32Array(buffer, SERVER_LINE + PRESENCE, 1),
    };
    this.tenure = {
      client: new Float64Array(buffer, CLIENT_LINE + TENURE, 3),
      server: new Float64Array(buffer, SERVER_LINE + TENURE, 3),
    };
    this.parking = {
      client: new ParkingPlace(buffer, CLIENT_LINE + PARKING),
      server: new ParkingPlace(buffer, SERVER_LINE + PARKING),
    };
    this.epoch = {
      client: new Int32Array(buffer, EPOCHS, 1),
      server: new Int32Array(buffer, EPOCHS + 4, 1),
    };
    this.notices = new Int32Array(buffer, MOVED, (RINGS - MOVED) >> 2);
    this.inode = new Float64Array(buffer, INODE, 1);
    this.#bootId = Buffer.from(buffer as ArrayBuffer, BOOT_ID, BOOT_ID_BYTES);
    this.checkpoints = identity.journal
      ? [
          new Int32Array(buffer, checkpointsAt(identity), PAGE_BYTES >> 2),
          new Int32Array(buffer, checkpointsAt(identity) + PAGE_BYTES, PAGE_BYTES >> 2),
        ]
      : null;
  }

  /** Notes the boot in which a journal is opened, and the file as which. */
  witness(bootId: string, inode: number): void {
    this.#bootId.fill(0);
    this.#bootId.write(bootId, 'latin1');
    this.inode[0] = inode;
  }

  /** The ring that this side writes. */
  outgoing(role: Role): RingMemory {
    return role === 'client' ? this.clientToServer : this.serverToClient;
  }

  /** The ring that this side reads. */
  incoming(role: Role): RingMemory {
    return role === 'client' ? this.serverToClient : this.clientToServer;
  }
}
