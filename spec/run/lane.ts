import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { broken, type Outcome } from './outcome.js';

const RUNNER = fileURLToPath(new URL('./runner.js', import.meta.url));
/** How long a process may take to end that has nothing left to do. */
const END_MS = 30_000;

/** Runs spec files one after the other, in a process that lives as long as it can. */
export class Lane {
  readonly #niceness: number;
  #process: ChildProcess | null = null;
  /** What it has run. */
  #files: string[] = [];
  /** Who waits for an outcome. */
  #settle: ((outcome: Outcome) => void) | null = null;
  readonly #deaths: Outcome[] = [];
  #ending = false;
  #late = false;

  /** `niceness` is that of its process, as of `nice`. */
  constructor(niceness: number) {
    this.#niceness = niceness;
  }

  /** Never rejects: where the process ends in the middle, the file has failed, and the next one has another process. */
  run(file: string): Promise<Outcome> {
    const start = performance.now();
    const child = this.#started();
    this.#files.push(file);
    return new Promise((resolve) => {
      this.#settle = (outcome) => {
        this.#settle = null;
        resolve({ ...outcome, durationMs: performance.now() - start });
      };
      child.send(file);
    });
  }

  /** Lets its process end, which fails when something is left open there. Gives what has failed besides the files. */
  async end(): Promise<Outcome[]> {
    const child = this.#process;
    this.#ending = true;
    if (child !== null) {
      const exited = once(child, 'exit');
      const timer = setTimeout(() => {
        this.#late = true;
        child.kill('SIGKILL');
      }, END_MS);
      child.disconnect();
      await exited;
      clearTimeout(timer);
    }
    return this.#deaths;
  }

  #started(): ChildProcess {
    if (this.#process !== null) return this.#process;
    this.#files = [];
    const child = fork(RUNNER, { execArgv: ['--enable-source-maps'] });
    setPriority(child.pid as number, this.#niceness);
    child.on('message', (outcome: Outcome) => this.#settle?.(outcome));
    // Of a message to one that has just died; its end is told below.
    child.on('error', () => {});
    child.on('exit', (code, signal) => {
      this.#process = null;
      const why = `the process ended by ${signal ?? `code ${code}`}`;
      if (this.#settle !== null) this.#settle(broken(this.#files.at(-1) as string, why));
      else if (this.#late) this.#died('the process did not end: something was left open');
      else if (code !== 0 || !this.#ending) this.#died(`${why}, after its specs`);
    });
    this.#process = child;
    return child;
  }

  #died(why: string): void {
    this.#deaths.push(broken(this.#files.join(', '), why));
  }
}
