import { TcpshmError } from './errors.js';
import { native, nativeOrNull } from './memory/native.js';
import { checkCapacity } from './ring/memory.js';
import { DURABILITY_LEVELS, type DurabilityLevel } from './session/durability.js';
import { MAX_CODEC_BYTES, MAX_LOGIN_BYTES, type Transport } from './session/loginMessages.js';
import { MAX_PROTOCOL_BYTES, NO_PROTOCOL, type ProtocolRange } from './session/protocol.js';

/** A capacity in bytes for all transports, or one for each. */
export type CapacityOption = number | Partial<Readonly<Record<Transport, number>>>;

/** What clients and servers have in common. Times are in milliseconds of the clock that `poll` is given. */
export interface PeerOptions {
  /**
   * Folder of the session files, which make sessions survive their processes: created with mode 0700 if it does not
   * exist, and must be the user's alone. Without it, sessions over tcp live as long as this object.
   */
  readonly directory?: string;
  /**
   * What was pushed survives the death of processes with 'process' (the default), and the loss of power too with 'disk':
   * then nothing is sent before it is safe on the disk, nor acknowledged before its `pop` is, and `connection.flush()`
   * waits for that. For sessions over tcp, which with 'disk' are the only ones; needs a `directory`.
   */
  readonly durability?: DurabilityLevel;
  /** Folder for shared segments, of this user alone. Default /dev/shm/tcpshm-<uid>. */
  readonly sharedDirectory?: string;
  /** What moves the bytes of sockets: 'native' is polled and fast, 'net' is node:net. Default: native if it is there. */
  readonly wire?: 'native' | 'net';
  /** TCP_NODELAY: send small frames at once. Default true. */
  readonly noDelay?: boolean;
  /**
   * A side that has sent nothing for so long sends a heartbeat. So often it also shows in the files of its sessions that
   * it is alive. Default 3000.
   */
  readonly heartbeatIntervalMs?: number;
  /**
   * A side that has received nothing for so long takes the connection for lost. A side that was not polled for so long
   * can be taken over by another process of its name (ERR_FENCED). Default 10000.
   */
  readonly connectionTimeoutMs?: number;
  /**
   * A connection over which no message was pushed or popped here for so long ends with the reason 'idle', whatever
   * heartbeats there were. The client whose limit it was does not `reconnect` by itself then. Default: never.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Heartbeats of the other side within `connectionTimeoutMs`: one more ends the connection with the reason 'too many
   * heartbeats'. Of sockets: threads of one process send none. Default: any number.
   */
  readonly maxHeartbeats?: number;
  /**
   * How long a login may take. Default 3000. Making the queues is part of it: reserving 1 GiB of shared memory can take
   * some seconds.
   */
  readonly loginTimeoutMs?: number;
  /**
   * Capacity of the queue that this side writes or reads: a power of two from 4096 to 2^30. Both sides must agree. A
   * client's default is what the server says, a server's is 2^20. A session keeps the capacity that it began with.
   */
  readonly sendCapacityBytes?: CapacityOption;
  readonly receiveCapacityBytes?: CapacityOption;
  /**
   * How this side writes its messages: a login between peers that name different codecs, or versions of one, is refused
   * with ERR_CODEC. It only names it; a `channel` uses it. Default: nothing is said, and any peer will do.
   */
  readonly codec?: CodecName;
  /**
   * What this program says over its connections, and which versions of it. A login agrees on the newest version that both
   * sides have (`connection.protocolVersion`), and is refused with ERR_PROTOCOL_VERSION where there is none, or the names
   * differ. Default: nothing is said, and any peer will do.
   */
  readonly protocol?: ProtocolOption;
}

/** A protocol of the user's, by its name, of up to 63 bytes, and its versions: whole numbers from 1 to 2^32 - 1. */
export interface ProtocolOption {
  readonly name: string;
  /** The newest version that this side speaks. */
  readonly version: number;
  /** The oldest one. Default: `version`. */
  readonly oldest?: number;
}

/** What of a codec the peer is told. */
export interface CodecName {
  readonly name: string;
  readonly version: number;
}

/** The same with nothing left open. */
export interface PeerSettings {
  readonly directory: string | null;
  readonly durability: DurabilityLevel;
  readonly sharedDirectory: string;
  readonly wire: 'native' | 'net';
  readonly noDelay: boolean;
  readonly heartbeatIntervalMs: number;
  readonly connectionTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxHeartbeats: number;
  readonly loginTimeoutMs: number;
  /** 0 where nothing was said. */
  readonly sendCapacityBytes: Readonly<Record<Transport, number>>;
  readonly receiveCapacityBytes: Readonly<Record<Transport, number>>;
  /** 'name@version', empty where nothing was said. */
  readonly codec: string;
  /** Without a name where nothing was said. */
  readonly protocol: ProtocolRange;
}

/** How waiting is ended: whatever waits takes this. */
export interface WaitOptions {
  /** Ends the waiting: the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
}

/** Checks all options before anything is opened. Throws ERR_OPTION or ERR_CAPACITY. */
export function peerSettings(options: PeerOptions): PeerSettings {
  const heartbeatIntervalMs = duration(options.heartbeatIntervalMs, 'heartbeatIntervalMs', 3000);
  const connectionTimeoutMs = duration(options.connectionTimeoutMs, 'connectionTimeoutMs', 10000);
  if (heartbeatIntervalMs >= connectionTimeoutMs) {
    throw new TcpshmError(
      'ERR_OPTION',
      `heartbeatIntervalMs must be less than connectionTimeoutMs, got ${heartbeatIntervalMs} and ${connectionTimeoutMs}`,
    );
  }
  const directory = text(options.directory, 'directory') ?? null;
  const durability = choice(options.durability, 'durability', DURABILITY_LEVELS) ?? 'process';
  if (durability === 'disk') {
    native();
    if (directory === null)
      throw new TcpshmError('ERR_OPTION', "durability 'disk' needs a directory, got none");
  }
  return {
    directory,
    durability,
    sharedDirectory: text(options.sharedDirectory, 'sharedDirectory') ?? defaultSharedDirectory(),
    wire: choice(options.wire, 'wire', ['native', 'net']) ?? (nativeOrNull() === null ? 'net' : 'native'),
    noDelay: flag(options.noDelay, 'noDelay', true),
    heartbeatIntervalMs,
    connectionTimeoutMs,
    idleTimeoutMs: duration(options.idleTimeoutMs, 'idleTimeoutMs', Number.POSITIVE_INFINITY),
    maxHeartbeats: count(options.maxHeartbeats, 'maxHeartbeats', Number.POSITIVE_INFINITY),
    loginTimeoutMs: duration(options.loginTimeoutMs, 'loginTimeoutMs', 3000),
    sendCapacityBytes: capacities(options.sendCapacityBytes, 'sendCapacityBytes'),
    receiveCapacityBytes: capacities(options.receiveCapacityBytes, 'receiveCapacityBytes'),
    codec: codecName(options.codec),
    protocol: protocolRange(options.protocol),
  };
}

/** Throws ERR_OPTION unless these are options, and the callbacks among them functions. */
export function checkOptions(options: object, callbacks: readonly string[] = []): void {
  if (typeof options !== 'object' || options === null) {
    throw new TcpshmError('ERR_OPTION', `options must be an object, got ${String(options)}`);
  }
  for (const name of callbacks) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined || typeof value === 'function') continue;
    throw new TcpshmError('ERR_OPTION', `${name} must be a function, got ${String(value)}`);
  }
}

export function defaultSharedDirectory(): string {
  return `/dev/shm/tcpshm-${process.geteuid?.() ?? 0}`;
}

export function duration(value: unknown, what: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw new TcpshmError(
    'ERR_OPTION',
    `${what} must be a positive number of milliseconds, got ${String(value)}`,
  );
}

export function count(value: unknown, what: string, fallback: number, least = 1): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw new TcpshmError(
    'ERR_OPTION',
    `${what} must be an integer of at least ${least}, got ${String(value)}`,
  );
}

export function flag(value: unknown, what: string, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw new TcpshmError('ERR_OPTION', `${what} must be true or false, got ${String(value)}`);
}

/** Of a call that waits. */
export function abortSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw new TcpshmError('ERR_OPTION', `signal must be an AbortSignal, got ${typeof value}`);
}

export function choice<const T extends string>(
  value: unknown,
  what: string,
  values: readonly T[],
): T | undefined {
  if (value === undefined || values.includes(value as T)) return value as T | undefined;
  throw new TcpshmError(
    'ERR_OPTION',
    `${what} must be one of ${values.join(', ')}, got ${JSON.stringify(value)}`,
  );
}

export function text(value: unknown, what: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value as string | undefined;
  throw new TcpshmError('ERR_OPTION', `${what} must be a text, got ${JSON.stringify(value)}`);
}

/** User data of a login or of its reply. */
export function loginBytes(value: unknown, what: string): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  if (value instanceof Uint8Array && value.length <= MAX_LOGIN_BYTES) return value;
  const got = value instanceof Uint8Array ? `${value.length} bytes` : typeof value;
  throw new TcpshmError(
    'ERR_OPTION',
    `${what} must be a Uint8Array of at most ${MAX_LOGIN_BYTES} bytes, got ${got}`,
  );
}

/** A codec as the peer is told of it, 'name@version'; empty where there is none. Throws ERR_OPTION. */
export function codecName(codec: CodecName | undefined): string {
  if (codec === undefined) return '';
  if (typeof codec !== 'object' || codec === null) {
    throw new TcpshmError('ERR_OPTION', `codec must have a name and a version, got ${String(codec)}`);
  }
  const { name, version } = codec;
  const shown = `${name}@${version}`;
  if (typeof name === 'string' && name !== '' && Number.isSafeInteger(version) && version >= 0) {
    if (Buffer.byteLength(shown) <= MAX_CODEC_BYTES) return shown;
  }
  throw new TcpshmError(
    'ERR_OPTION',
    `codec must have a name and a whole number as version, of ${MAX_CODEC_BYTES} bytes together, got '${shown}'`,
  );
}

/** A protocol as the peer is told of it. Throws ERR_OPTION. */
function protocolRange(protocol: ProtocolOption | undefined): ProtocolRange {
  if (protocol === undefined) return NO_PROTOCOL;
  if (typeof protocol !== 'object' || protocol === null) {
    throw new TcpshmError('ERR_OPTION', `protocol must have a name and a version, got ${String(protocol)}`);
  }
  const { name, version: newest, oldest = newest } = protocol;
  const isVersion = (version: unknown): boolean =>
    Number.isInteger(version) && (version as number) >= 1 && (version as number) <= 0xffffffff;
  const named = typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= MAX_PROTOCOL_BYTES;
  if (named && isVersion(newest) && isVersion(oldest) && oldest <= newest) return { name, oldest, newest };
  throw new TcpshmError(
    'ERR_OPTION',
    `protocol must have a name of at most ${MAX_PROTOCOL_BYTES} bytes, and a version from 1 with an oldest one up to` +
      ` that, got ${JSON.stringify(protocol)}`,
  );
}

function capacities(option: CapacityOption | undefined, what: string): Record<Transport, number> {
  if (typeof option === 'object') {
    checkOptions(option);
    for (const key of Object.keys(option)) choice(key, `a key of ${what}`, ['inproc', 'shm', 'tcp']);
  }
  const one = (transport: Transport): number => {
    const value = typeof option === 'object' ? option[transport] : option;
    return value === undefined ? 0 : checkCapacity(value, what);
  };
  return { inproc: one('inproc'), shm: one('shm'), tcp: one('tcp') };
}
