/** Runs the echo programs for the demo: starts them, ends them, and removes what they leave. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { EchoReport } from '../echo/exchange.js';

/** Messages in flight in the second run over a transport. */
const WINDOW = 64;

/** A line of the result. Times are round trips, with one message in flight. */
export interface DemoResult {
  readonly transport: string;
  readonly verified: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly meanNs: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
  /** With many messages in flight. */
  readonly messagesPerSecond: number;
}

/** Of each of the two runs over a transport. */
export interface RunLimits {
  readonly count: number;
  /** 0 for no limit. */
  readonly seconds: number;
}

/** Runs the echo programs, in folders of its own. */
export class Runs {
  readonly #limits: RunLimits;
  readonly #directory = mkdtempSync(join(tmpdir(), 'tcpshm-demo-'));
  readonly #sharedDirectory = mkdtempSync('/dev/shm/tcpshm-demo-');
  readonly #running = new Set<Program>();
  #interruptedBy: NodeJS.Signals | null = null;

  constructor(limits: RunLimits) {
    this.#limits = limits;
  }

  get interruptedBy(): NodeJS.Signals | null {
    return this.#interruptedBy;
  }

  async measure(transport: string): Promise<DemoResult> {
    // Over inproc, the client runs the server in a thread of its own.
    const server = transport === 'inproc' ? null : this.#start('server', '--port', '0');
    const { port } = server === null ? { port: 1 } : (JSON.parse(await server.line) as { port: number });
    const one = await this.#runClient(transport, port, 1);
    const many = await this.#runClient(transport, port, WINDOW);
    if (server !== null) await end(server, 'SIGTERM');
    const { meanNs, p50Ns, p99Ns, p999Ns, maxNs } = one;
    return {
      transport: one.transport,
      verified: one.received + many.received,
      lost: one.lost + many.lost,
      duplicated: one.duplicated + many.duplicated,
      reordered: one.reordered + many.reordered,
      ...{ meanNs, p50Ns, p99Ns, p999Ns, maxNs },
      messagesPerSecond: many.messagesPerSecond,
    };
  }

  /** Ends all programs, so that `measure` fails. */
  interrupt(signal: NodeJS.Signals): void {
    this.#interruptedBy = signal;
    for (const { child } of this.#running) child.kill('SIGKILL');
  }

  /** Ends what still runs, and removes the folders with the sessions. */
  async close(): Promise<void> {
    for (const program of this.#running) await end(program, 'SIGKILL');
    for (const folder of [this.#directory, this.#sharedDirectory]) {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #runClient(transport: string, port: number, window: number): Promise<EchoReport> {
    process.stderr.write(`${transport}, messages in flight: ${window} … `);
    const { line, exit } = this.#start(
      'client',
      ...['--transport', transport, '--port', String(port), '--window', String(window)],
      ...[
        '--count',
        String(this.#limits.count),
        '--seconds',
        String(this.#limits.seconds),
        '--reconnect-seconds',
        '5',
      ],
    );
    const report = JSON.parse(await line) as EchoReport;
    await exit;
    process.stderr.write(`${report.received.toLocaleString('en')} came back\n`);
    return report;
  }

  #start(name: 'client' | 'server', ...options: readonly string[]): Program {
    if (this.#interruptedBy !== null) throw new Error('interrupted');
    const folders = ['--directory', this.#directory, '--shared-directory', this.#sharedDirectory];
    const child = fork(
      fileURLToPath(new URL(`../echo/${name}.js`, import.meta.url)),
      ['--json', '--idle', 'busy', ...folders, ...options],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    const program = { child, line: firstLine(name, child), exit: once(child, 'exit') };
    this.#running.add(program);
    program.exit.finally(() => this.#running.delete(program));
    return program;
  }
}

/** A child process that prints one line of JSON. */
interface Program {
  readonly child: ChildProcess;
  readonly line: Promise<string>;
  readonly exit: Promise<unknown>;
}

/** Rejects with what the program says on stderr, should it end without a line. */
function firstLine(name: string, { stdout, stderr }: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let notes = '';
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      notes += text;
    });
    const lines = createInterface({ input: stdout as Readable });
    lines.once('line', resolve);
    lines.once('close', () => reject(new Error(`the echo ${name} ended without a result:\n${notes}`)));
  });
}

async function end({ child, exit }: Program, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  child.kill(signal);
  await exit;
}
