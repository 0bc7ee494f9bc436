/** Where the sides of a soak run live: each in a process, or in two threads of this one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Board, ROLES, type Role } from './board.js';
import { runSide, type SideSettings } from './side.js';

const SIDE = new URL('./sideMain.js', import.meta.url);

/** A side, or the thread of a group of the server, in which the connection is. */
export type Victim = Role | 'thread';

export interface Stage {
  readonly board: Board;
  /** Who can be killed. */
  readonly mortal: readonly Victim[];
  /** Why a side has ended that was not killed. */
  readonly failure: Error | null;
  /** Starts a side, or lets the server replace a thread, and says what was started. */
  start(victim: Victim): string;
  /** Kills a side or a thread: resolves once it is dead. Throws when it was not this that has ended it. */
  kill(victim: Victim): Promise<void>;
  /** Waits for the sides, which the board has told to end. */
  ended(): Promise<void>;
  /** Kills what still lives, and removes all files. */
  close(): Promise<void>;
}

/** Small, so that queues run full and wrap all the time. */
const CAPACITY_BYTES = 65536;

/** What the sides of a stage have in common. */
export type StageSettings = Pick<SideSettings, 'transport'> &
  Partial<Pick<SideSettings, 'capacityBytes' | 'options' | 'port' | 'groups'>>;

export function openStage(given: StageSettings): Stage {
  const directory = mkdtempSync(join(tmpdir(), `tcpshm-soak-${process.pid}-`));
  const sharedDirectory = mkdtempSync(`/dev/shm/tcpshm-soak-${process.pid}-`);
  const removeFolders = (): void => {
    for (const folder of [directory, sharedDirectory]) rmSync(folder, { recursive: true, force: true });
  };
  const name = `soak-server-${process.pid}`;
  const defaults = { capacityBytes: CAPACITY_BYTES, options: {}, port: 0, groups: 0 };
  const boardPath = join(sharedDirectory, 'board');
  const settings = { ...defaults, ...given, name, directory, sharedDirectory, boardPath };
  try {
    return given.transport === 'inproc'
      ? new Threads(settings, removeFolders)
      : new Processes(settings, removeFolders);
  } catch (error) {
    removeFolders();
    throw error;
  }
}

type Settings = Omit<SideSettings, 'role'>;

class Processes implements Stage {
  readonly board: Board;
  readonly mortal: readonly Victim[];
  failure: Error | null = null;
  readonly #settings: Settings;
  readonly #removeFolders: () => void;
  readonly #children = new Map<Role, ChildProcess>();
  #expected: ChildProcess | null = null;

  constructor(settings: Settings, removeFolders: () => void) {
    this.#settings = settings;
    this.#removeFolders = removeFolders;
    this.mortal = settings.groups > 0 ? [...ROLES, 'thread'] : ROLES;
    this.board = Board.map(settings.boardPath, true);
  }

  start(role: Victim): string {
    if (role === 'thread') return replaced(this.board);
    const settings: SideSettings = { ...this.#settings, role };
    const child = spawn(process.execPath, [fileURLToPath(SIDE), JSON.stringify(settings)], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#children.set(role, child);
    child.once('error', (error) => {
      this.failure ??= error;
    });
    child.once('exit', (code, signal) => {
      if (this.#expected === child || (this.board.ending && code === 0)) return;
      this.failure ??= new Error(`the ${role} ended by itself, with ${signal ?? code}`);
    });
    return `process ${child.pid}`;
  }

  async kill(role: Victim): Promise<void> {
    if (role === 'thread') return killThread(this);
    const child = this.#children.get(role) as ChildProcess;
    this.#expected = child;
    const exit = ended(child) ? null : once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    if (child.signalCode !== 'SIGKILL') {
      throw new Error(`the ${role} ended by itself, with ${child.signalCode ?? child.exitCode}`);
    }
    if (role === 'server') this.board.port = 0;
  }

  async ended(): Promise<void> {
    for (const child of this.#children.values()) if (!ended(child)) await once(child, 'exit');
  }

  async close(): Promise<void> {
    for (const child of this.#children.values()) if (!ended(child)) child.kill('SIGKILL');
    await this.ended();
    this.board.close();
    this.#removeFolders();
  }
}

function ended(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Kills the thread of a group, which the server does. */
async function killThread(stage: Stage): Promise<void> {
  const { board } = stage;
  board.wantDeath();
  while (board.deaths !== board.deathsWanted) {
    if (stage.failure !== null) throw stage.failure;
    await sleep(1);
  }
}

function replaced(board: Board): string {
  board.deathSeen();
  return `replacement ${board.deathsSeen}`;
}

/** The server is in this thread, the client in a worker. */
class Threads implements Stage {
  readonly board: Board;
  readonly mortal: readonly Victim[];
  failure: Error | null = null;
  readonly #settings: Settings;
  readonly #removeFolders: () => void;
  #server: Promise<void> = Promise.resolve();
  #worker: Worker | null = null;
  #exit: Promise<unknown> = Promise.resolve();
  #exited = true;

  constructor(settings: Settings, removeFolders: () => void) {
    this.#settings = settings;
    this.#removeFolders = removeFolders;
    this.mortal = settings.groups > 0 ? ['client', 'thread'] : ['client'];
    this.board = Board.map(settings.boardPath, true);
  }

  start(role: Victim): string {
    if (role === 'thread') return replaced(this.board);
    const settings: SideSettings = { ...this.#settings, role };
    if (role === 'server') {
      this.#server = runSide(this.board, settings).catch((error: Error) => {
        this.failure ??= error;
      });
      return 'the main thread';
    }
    const worker = new Worker(SIDE, { workerData: settings });
    this.#worker = worker;
    this.#exited = false;
    worker.once('error', (error) => {
      this.failure ??= error as Error;
    });
    this.#exit = new Promise<void>((resolve) => {
      worker.once('exit', (code) => {
        this.#exited = true;
        if (this.#worker === worker && !(this.board.ending && code === 0)) {
          this.failure ??= new Error(`the worker ended by itself, with ${code}`);
        }
        resolve();
      });
    });
    return `worker ${worker.threadId}`;
  }

  async kill(role: Victim): Promise<void> {
    if (role === 'thread') return killThread(this);
    const worker = this.#worker as Worker;
    if (this.#exited) throw this.failure ?? new Error('the worker ended by itself');
    this.#worker = null;
    await worker.terminate();
    await this.#exit;
  }

  async ended(): Promise<void> {
    await Promise.all([this.#server, this.#exit]);
  }

  async close(): Promise<void> {
    this.board.end();
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
    await this.ended();
    this.board.close();
    this.#removeFolders();
  }
}
