/**
 * The native module, and the only file that imports it. Everything above asks for it through {@link native} and
 * so gets one clear error where the platform has none.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TcpshmError } from '../errors.js';
import type { ByteStream, PeerCredentials, Transfer } from './byteStream.js';

/** What every failing call throws: a plain Error with these fields, in the manner of node's own system errors. */
export interface SystemError extends Error {
  readonly code: string; // 'ENOENT'
  readonly errno: number; // positive, as in errno.h
  readonly syscall: string; // 'open'
  readonly path?: string;
  readonly address?: string; // '127.0.0.1:80'
}

/**
 * A file mapped into memory, shared with every other process that maps it. Holds the descriptor, and with it the
 * locks, until `close()` or the garbage collector.
 */
export interface MappedFile {
  /** The whole file. Detached (length 0) by `close()`. */
  readonly buffer: ArrayBuffer;
  readonly path: string;
  /**
   * Takes an exclusive OFD lock on `lengthBytes` bytes from `start`, without waiting; the bytes need not exist.
   * False when another open file description holds one, be it of this process or of another.
   */
  lock(start: number, lengthBytes: number): boolean;
  unlock(start: number, lengthBytes: number): void;
  /** True when another open file description holds a lock on any byte of the range. */
  isLocked(start: number, lengthBytes: number): boolean;
  /**
   * Whether a part of the file is gone, as somebody has shortened it: a system call. Nobody but a process of this user can.
   * Touching that part does no harm to this process: there are zeroes from then on, of this mapping alone.
   */
  readonly lost: boolean;
  /**
   * From now on the Int32 at this offset of the buffer, a multiple of 4, is set to 1 when somebody touches what is gone,
   * and at once if that has happened: so whoever looks at that word anyway need not ask. Its page becomes this mapping's
   * alone by that.
   */
  tellLoss(offset: number): void;
  /** The file's number on its file system (st_ino), as `fs.statSync` tells it; stays after `close()`. */
  readonly inode: number;
  /**
   * Starts an `fdatasync` in a thread of node's pool: what was stored into the buffer before is on the disk when
   * it has succeeded. Any number may be under way; each needs a `done` of its own.
   *
   * `done` has one element, which the caller has set to a negative number (pending). The pool's thread atomically
   * stores 0 (success) or the errno there, so a thread that polls it with `Atomics.load` sees it without ever
   * returning to its event loop. Its memory is kept until then; it must not be in a mapped file (TypeError), and
   * if it is in an ArrayBuffer rather than a SharedArrayBuffer, that must be neither transferred nor resized.
   *
   * `finished` is called later, by the event loop of this thread, which stays alive for it; never within `sync`,
   * and not at all when the thread is terminated. A thread that ends waits for its syncs.
   *
   * `close()` does not wait for syncs: they end as if it had not been called, and until then only the descriptor
   * is still open.
   */
  sync(done: Int32Array, finished: () => void): void;
  /** The same, and the thread waits for it: for milliseconds on a disk. */
  syncNow(): void;
  /**
   * Hands changed pages to the disk and does not wait for them: so a `sync` that follows has less to wait for, while
   * its thread wakes. Takes 50 µs of this thread for some pages, and 3 ms for 16 MiB of them. Makes nothing safe.
   */
  writeOut(): void;
  /** Unmaps, closes, releases the locks, all at once. Twice is harmless. */
  close(): void;
}

export interface MapOptions {
  /** Create exclusively (EEXIST if there is one); else open. */
  readonly create: boolean;
  /** With `create`: the size, reserved on the file system. Else: the size that the file must have at least. */
  readonly sizeBytes: number;
}

/** A non-blocking TCP or Unix socket: listening, connecting or connected. One owner; any thread may hold it. */
export interface NativeSocket extends ByteStream {
  /** The descriptor, -1 once closed or released. */
  readonly fd: number;
  /** Next connection, or null when none waits. */
  accept(): NativeSocket | null;
  receiver(into: Uint8Array): Transfer;
  sender(from: Uint8Array): Transfer;
  /** Whether a connect has completed; throws what it failed with. */
  connected(): boolean;
  setNoDelay(on: boolean): void;
  setKeepAlive(on: boolean, idleSeconds: number, intervalSeconds: number, count: number): void;
  /** TCP_USER_TIMEOUT: how long sent data may stay unacknowledged before the kernel drops the connection. */
  setUserTimeout(timeoutMs: number): void;
  /** '127.0.0.1:80', '[::1]:80' or the path of a Unix socket ('' where it has none). */
  localAddress(): string;
  /** SO_PEERCRED: of a process of another user namespace the ids are those that this one sees. */
  peerCredentials(): PeerCredentials | null;
  /** Gives up ownership: returns the descriptor and forgets it. For handing it to another thread. */
  release(): number;
}

/**
 * One kernel wait over many descriptors (level triggered). Its own `fd` can be watched in turn. For threads that
 * sleep in `wait`, and with `watch` for those that have an event loop to sleep in.
 */
export interface Epoll {
  readonly fd: number;
  /**
   * `interest`: 1 readable, 2 writable, 4 the peer's end (it will send nothing more), or a sum of these; and 8 more for
   * once: after an event the descriptor is silent, about errors and hang-ups too, until `modify` arms it again. `token`
   * (u32) comes back with each event.
   */
  add(fd: number, token: number, interest: number): void;
  modify(fd: number, token: number, interest: number): void;
  remove(fd: number): void;
  /**
   * Waits (-1 forever, 0 not at all) and writes pairs {token, readiness} into `events`; readiness has the bits of
   * `interest`, and 4 for error or hang-up in any case. Returns the number of pairs. EINTR returns 0. Blocks the thread, but
   * not its end: it looks every half second whether the thread is being terminated.
   */
  wait(events: Uint32Array, timeoutMs: number): number;
  /**
   * From then on the event loop of this thread calls `ready`, with the epoll as `this`, in every turn in which an
   * event waits: so again as long as it was not taken with `wait(events, 0)` and its cause is still there. What
   * `ready` throws is an uncaught exception, and the watch goes on. EEXIST when it is watched already.
   *
   * Keeps this object, and unless `unref` says otherwise the event loop, alive until `unwatch` or `close`.
   */
  watch(ready: () => void): void;
  /** `ready` is not called any more. Can be watched again at once. Twice is harmless, and so it is after `close`. */
  unwatch(): void;
  /** Whether the event loop stays alive for the watch, as with node's own handles; `watch` leaves it as it is. */
  ref(): void;
  unref(): void;
  /** Also ends the watch. Twice is harmless. */
  close(): void;
}

/**
 * A named pipe that carries tokens: what wakes a thread that sleeps in an {@link Epoll}. Never blocks. It has one
 * owner, who made it and answers; any number of threads and processes of the same user open it and ring.
 *
 * Objects end with `close()`, the garbage collector, or their thread. The owner's removes the path then; the death
 * of its process (a signal, `process.exit()` in the main thread) leaves a path behind that nobody answers.
 */
export interface Doorbell {
  /** For an Epoll of the owner: readable while tokens wait. -1 once closed. */
  readonly fd: number;
  readonly path: string;
  /**
   * Rings, with a token (u32). The owner can ring too. False when
   *
   * - it is full, see {@link FULL_DOORBELL_TOKENS}: whoever answers it will find that, and must look everywhere;
   * - nobody answers it any more: its owner closed it or died. It stays so; a successor's is to be opened anew.
   *
   * Never raises SIGPIPE, whatever the process does with that signal. Atomic: tokens of several threads and
   * processes never mix, and those of one thread arrive in their order.
   */
  ring(token: number): boolean;
  /**
   * Owner: takes the tokens that wait, the oldest first, up to the length of `tokens`, which must have room for
   * one. Returns their number, 0 for none. EBADF for others. EPROTO when somebody wrote bytes into the pipe that
   * are no tokens: then some are lost, and the owner must look everywhere.
   */
  answer(tokens: Uint32Array): number;
  /** Twice is harmless. */
  close(): void;
}

/**
 * A doorbell that refused a token because it was full had at least this many waiting: so `answer` with room for
 * them comes back with as many, and the owner knows that rings may have been lost. Usually it is full with 16384,
 * the 65536 bytes of a pipe. The least is due to Linux, which gives a user who has over a thousand pipes ones of two
 * pages, and counts a page as taken until its last token was read.
 */
export const FULL_DOORBELL_TOKENS = 1025;

export interface Native {
  mapFile(path: string, options: MapOptions): MappedFile;
  /**
   * `fsync` of a folder: files created, renamed and removed in it before stay so after a loss of power. The thread
   * waits, for milliseconds on a disk. What is in the files is another matter: {@link MappedFile.syncNow}.
   */
  syncFolder(path: string): void;
  /** `host` is a numeric IPv4 or IPv6 address. SO_REUSEADDR is set; port 0 takes any free port. */
  listenTcp(host: string, port: number, backlog: number): NativeSocket;
  /** The path must not exist, and is removed by `close()` of this socket. Mode 0600. */
  listenUnix(path: string, backlog: number): NativeSocket;
  connectTcp(host: string, port: number): NativeSocket;
  connectUnix(path: string): NativeSocket;
  /** Takes over a descriptor that `release()` gave. */
  adopt(fd: number): NativeSocket;
  createEpoll(): Epoll;
  /** Makes the pipe, mode 0600, and owns it. EEXIST if there is something at the path, a dead owner's pipe too. */
  createDoorbell(path: string): Doorbell;
  /**
   * To ring it. Null where there is none, or none that somebody answers. Throws for a file that is no named pipe
   * (EINVAL, ELOOP for a symbolic link) or not this user's alone (EPERM, EACCES), without opening it.
   */
  openDoorbell(path: string): Doorbell | null;
  /** CLOCK_MONOTONIC in milliseconds, with fractions. */
  monotonicMs(): number;
  /** Pins the calling thread to these processors. */
  setAffinity(cpus: readonly number[]): void;
  getAffinity(): number[];
  /** Id of this boot of the kernel, a UUID. */
  bootId(): string;
  /**
   * A full memory barrier in every thread of every process at once (membarrier(2), MEMBARRIER_CMD_GLOBAL): what any
   * of them stored before the call is visible after it, and what they load after it sees what this thread stored
   * before. So only the side that is rare pays: the thread waits for milliseconds. Where the system has no such
   * call it sleeps 10 ms, in which every store buffer drains.
   */
  membarrier(): void;
  /**
   * Has `barrier` pass through the threads of this process too, from here on (membarrier(2),
   * MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED). False where the system does not have it. Twice is harmless.
   */
  registerBarrier(): boolean;
  /**
   * The same as `membarrier` in all processes that have registered, by interrupting the processors they run on: under a
   * microsecond. False where the system does not have it.
   */
  barrier(): boolean;
  /**
   * Arranges that, when this thread's environment ends by whatever way but the death of the process (return,
   * exit, terminate), `words[index]` is atomically set from `from` to `to` if it holds `from`. Keeps the memory
   * alive until then, unless `close()` unmaps it. Returns a function that cancels it. `process.exit()` in the main
   * thread is the death of the process: it runs this for the workers, and not for the main thread.
   */
  exchangeAtExit(words: Int32Array, index: number, from: number, to: number): () => void;
}

const FOLDER = 'native-shm';
const SWITCH = 'TCPSHM_NATIVE';

type Loaded = { readonly module: Native } | { readonly reason: string; readonly cause?: unknown };

let loaded: Loaded | null = null;

/**
 * The native module, loaded by the first call in each thread.
 *
 * @throws TcpshmError `ERR_NATIVE_MISSING` where it cannot be loaded: there is none for this platform (all but
 * Linux), none was built, or the environment variable `TCPSHM_NATIVE` is `off` (which is for testing just that).
 */
export function native(): Native {
  loaded ??= load();
  if ('module' in loaded) return loaded.module;
  throw new TcpshmError(
    'ERR_NATIVE_MISSING',
    `the native module of tcpshm is needed here, and could not be loaded on ${platformName()}, ` +
      `node ${process.versions.node}: ${loaded.reason}`,
    loaded.cause,
  );
}

/** The same, with null for missing. */
export function nativeOrNull(): Native | null {
  loaded ??= load();
  return 'module' in loaded ? loaded.module : null;
}

function load(): Loaded {
  if (process.env[SWITCH] === 'off') {
    return { reason: `the environment variable ${SWITCH} is 'off'; unset it to load the module` };
  }
  if (process.platform !== 'linux') {
    return { reason: 'it exists for Linux only; connect over TCP in event loop mode instead' };
  }
  const folder = findFolder();
  if (folder === null) {
    return {
      reason:
        `there is no folder ${FOLDER} beside or above ${fileURLToPath(import.meta.url)}; ` +
        'a bundler must leave this package outside of its bundle',
    };
  }
  try {
    const nodeGypBuild = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => Native;
    return { module: nodeGypBuild(folder) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.trim() : String(cause);
    return {
      reason: `${why}; the package has a binary for some platforms only, build one for this with \`npx node-gyp rebuild --directory ${folder}\` (needs Python, make and a C++17 compiler)`,
      cause,
    };
  }
}

/** At the root of the package, so above this file: above lib/memory as above dist/lib/memory. */
function findFolder(): string | null {
  let from = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const folder = join(from, FOLDER);
    if (existsSync(join(folder, 'binding.gyp'))) return folder;
    const parent = dirname(from);
    if (parent === from) return null;
    from = parent;
  }
}

/** Like linux-x64-glibc2.36. Slow (node composes a whole report), so for the error only. */
function platformName(): string {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform !== 'linux') return name;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const glibc = report.header?.glibcVersionRuntime;
  return `${name}-${glibc === undefined ? 'musl' : `glibc${glibc}`}`;
}
