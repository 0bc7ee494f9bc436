/** What the specs of the examples share: built programs as child processes, in folders of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const EXAMPLES = new URL('../../examples/', import.meta.url);
const POLL_MS = 5;

const folders: string[] = [];
const programs: Program[] = [];

/** A built program that runs. */
export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  /** Once it has ended and all that it printed is here. */
  readonly #closed: Promise<unknown>;
  #stdout = '';
  #stderr = '';

  constructor(name: string, options: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.name = name;
    this.#child = spawn(process.execPath, [fileURLToPath(new URL(`${name}.js`, EXAMPLES)), ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#closed = once(this.#child, 'close');
    programs.push(this);
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The lines on stderr that match. */
  notes(pattern: RegExp): readonly string[] {
    return this.#stderr.split('\n').filter((line) => pattern.test(line));
  }

  /** Waits for a condition, under the watchdog of the test runner; fails if the program ends without. */
  async until(condition: (program: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (!this.running) throw new Error(`${this.name} ended unexpectedly:\n${this.#stdout}${this.#stderr}`);
      await pause(POLL_MS);
    }
  }

  /** Sends a signal, without waiting for what it does. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#closed;
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** What it printed as JSON, once it has ended. Fails unless the exit code is 0. */
  async json(): Promise<unknown> {
    const code = await this.ended();
    if (code !== 0) throw new Error(`${this.name} ended with ${code}:\n${this.#stdout}${this.#stderr}`);
    return JSON.parse(this.#stdout);
  }

  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    this.signal(signal);
    return this.ended();
  }
}

/** Folders of one spec, and the options that tell a program of them. */
export class Folders {
  readonly sessions = newFolder(tmpdir());
  readonly shared = newFolder('/dev/shm');
  readonly options = ['--directory', this.sessions, '--shared-directory', this.shared];

  /** Everything in the folder for shared memory; nothing when it is gone. */
  sharedFiles(): readonly string[] {
    return existsSync(this.shared) ? readdirSync(this.shared) : [];
  }
}

/** An empty folder. */
export function newFolder(root: string): string {
  const folder = mkdtempSync(join(root, 'tcpshm-examples-spec-'));
  folders.push(folder);
  return folder;
}

/** For `after` and `afterEach` hooks: ends every program that was started here, and removes the folders. */
export async function cleanUp(): Promise<void> {
  for (const program of programs.splice(0)) await program.end('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Of a report of the echo client. */
export const NOTHING_WRONG = { lost: 0, duplicated: 0, reordered: 0 } as const;

/** Starts an echo server, on any free port unless one is given, and waits until it listens. */
export async function startServer(
  options: readonly string[],
  port = 0,
): Promise<{ server: Program; port: number }> {
  const server = new Program('echo/server', ['--json', '--port', String(port), ...options]);
  await server.until(({ stdout }) => stdout.includes('\n'));
  return { server, port: (JSON.parse(server.stdout) as { port: number }).port };
}

export function startClient(port: number, options: readonly string[]): Program {
  return new Program('echo/client', ['--json', '--port', String(port), ...options]);
}
