/** What the specs of the native module share: folders, other processes and threads, and waiting for a condition. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { expect } from 'chai';
import { type NativeSocket, native, type SystemError } from '../../lib/memory/native.js';

const MODULE = new URL('../../lib/memory/native.js', import.meta.url).href;
const POLL_MS = 2;
const MORE_THAN_THE_POOL = 32; // threads; it has 4 unless UV_THREADPOOL_SIZE says otherwise

const made: string[] = [];
const children: ChildProcess[] = [];
const workers: Worker[] = [];

/** A new folder of mode 0700 in memory, or with `on: 'disk'` where temporary files are. */
export function newFolder(on: 'memory' | 'disk' = 'memory'): string {
  const folder = mkdtempSync(join(on === 'memory' ? '/dev/shm' : tmpdir(), 'tcpshm-native-spec-'));
  made.push(folder);
  return folder;
}

/** For `after` hooks: ends and removes everything that came from here. */
export async function cleanUp(): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  for (const worker of workers.splice(0)) await worker.terminate();
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Waits under the watchdog of the test runner. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(POLL_MS);
}

/** The error that `act` throws; fails if it throws none. */
export function failureOf(act: () => unknown): SystemError {
  try {
    act();
  } catch (error) {
    expect(error).to.be.instanceOf(Error);
    return error as SystemError;
  }
  throw new Error('expected an error, and none was thrown');
}

export function expectFailure(act: () => unknown, fields: Partial<SystemError>): SystemError {
  const error = failureOf(act);
  expect(error).to.include(fields);
  return error;
}

export interface Child {
  readonly process: ChildProcess;
  /** The next line that it prints. */
  line(): Promise<string>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

/**
 * Another process, which runs `code` as a module with the native module in `n` and its arguments in `args`. `under`
 * is a command, with arguments, that runs the command after them.
 */
export function startChild(
  code: string,
  args: unknown = null,
  flags: readonly string[] = [],
  under: readonly string[] = [],
): Child {
  const source = `import { native } from ${JSON.stringify(MODULE)};
const n = native();
const args = ${JSON.stringify(args)};
const say = (text) => console.log(String(text));
${code}`;
  const [command = process.execPath, ...rest] = [
    ...under,
    process.execPath,
    ...flags,
    '--input-type=module',
    '--eval',
    source,
  ];
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    async line() {
      const next = await lines.next();
      if (next.done === true) throw new Error('the child ended without another line');
      return next.value;
    },
    async kill(signal) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    },
  };
}

/**
 * For `startChild`: makes system calls fail, each fault in the manner of `strace -e inject=`, and writes what was
 * called to `log`. Null where strace is missing or not permitted.
 */
export function faulty(log: string, ...faults: readonly string[]): string[] | null {
  const calls = faults.map((fault) => fault.slice(0, fault.indexOf(':')));
  const under = ['strace', '-f', '-y', '-o', log, '-e', `trace=${calls.join(',')}`];
  for (const fault of faults) under.push('-e', `inject=${fault}`);
  const [command = '', ...rest] = under;
  return spawnSync(command, [...rest, 'true']).status === 0 ? under : null;
}

/** A worker that runs `code` with the native module in `n`, `parentPort` and `workerData`. */
export function startWorker(code: string, options: WorkerOptions = {}): Worker {
  const source = `const { parentPort, workerData } = require('node:worker_threads');
import(${JSON.stringify(MODULE)}).then(async ({ native }) => {
  const n = native();
  ${code}
});`;
  const worker = new Worker(source, { ...options, eval: true });
  workers.push(worker);
  return worker;
}

export async function message(worker: Worker): Promise<unknown> {
  const [value] = await once(worker, 'message');
  return value;
}

/** Both ends of a new connection over loopback. */
export async function connectedPair(): Promise<[NativeSocket, NativeSocket]> {
  const n = native();
  const listener = n.listenTcp('127.0.0.1', 0, 8);
  const [host = '', port] = listener.localAddress().split(':');
  const near = n.connectTcp(host, Number(port));
  const far = await accepted(listener);
  await until(() => near.connected());
  listener.close();
  return [near, far];
}

export async function accepted(listener: NativeSocket): Promise<NativeSocket> {
  for (;;) {
    const socket = listener.accept();
    if (socket !== null) return socket;
    await pause(POLL_MS);
  }
}

/** Receives exactly this many bytes. */
export async function receiveAll(socket: NativeSocket, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let have = 0;
  while (have < lengthBytes) {
    const count = socket.receive(bytes, have, lengthBytes - have);
    if (count < 0) throw new Error(`the stream ended after ${have} of ${lengthBytes} bytes`);
    if (count === 0) await pause(POLL_MS);
    have += count;
  }
  return bytes;
}

/**
 * Keeps every thread of this process's pool busy: what is queued now starts when the function returned is called.
 * They open a pipe that nobody writes.
 */
export function occupyPool(): () => Promise<void> {
  const pipe = join(newFolder(), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const opened = Array.from({ length: MORE_THAN_THE_POOL }, () => open(pipe, 'r'));
  return async () => {
    const writer = openSync(pipe, constants.O_RDWR);
    for (const reader of opened) await (await reader).close();
    closeSync(writer);
  };
}

/** Open descriptors of this process. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

export function isMapped(path: string): boolean {
  return readFileSync('/proc/self/maps', 'utf8').includes(path);
}
