/**
 * A server with many idle connections, and the processes of their clients. Sessions over tcp are in memory on both
 * sides: with a folder each would take the server a second descriptor.
 *
 *   this process ── orders ──►  server  ◄══ connections ══  some processes, each with many clients, all asleep
 */
import { readFileSync } from 'node:fs';
import { type Child, startChild } from '../child.js';
import { SHARED_MEMORY, type TemporaryFolder, temporaryFolder } from '../cleanup.js';
import type { Usage } from './usage.js';

export interface CrowdSettings {
  readonly transport: 'shm' | 'tcp';
  /** Of the server; -1 leaves it to the scheduler. */
  readonly cpu: number;
  readonly heartbeatMs: number;
}

const CLIENTS_PER_PROCESS = 2500;
/** Descriptors that a process holds for each idle connection, at the most, and for all else. */
const DESCRIPTORS = { server: { shm: 3, tcp: 1 }, clients: { shm: 5, tcp: 3 } } as const;
const OTHER_DESCRIPTORS = 200;

export class Crowd {
  readonly port: number;
  readonly #settings: CrowdSettings;
  readonly #server: Child;
  readonly #folder: TemporaryFolder;
  readonly #helpers: Child[] = [];
  #count = 0;

  static async start(settings: CrowdSettings): Promise<Crowd> {
    const folder = temporaryFolder(SHARED_MEMORY);
    const { transport, cpu, heartbeatMs } = settings;
    try {
      const words = [transport, String(cpu), String(heartbeatMs), folder.path];
      return new Crowd(settings, await startChild('./idle/server.js', words), folder);
    } catch (error) {
      folder.remove();
      throw error;
    }
  }

  private constructor(settings: CrowdSettings, server: Child, folder: TemporaryFolder) {
    this.#settings = settings;
    this.#server = server;
    this.#folder = folder;
    this.port = server.port;
  }

  /** For other clients of the server. */
  get sharedDirectory(): string {
    return this.#folder.path;
  }

  /** Adds idle connections. Rejects when one could not be opened. */
  async grow(count: number): Promise<void> {
    const { transport, heartbeatMs } = this.#settings;
    const openFiles = mostOpenFiles();
    const perProcess = Math.min(
      CLIENTS_PER_PROCESS,
      Math.floor((openFiles - OTHER_DESCRIPTORS) / DESCRIPTORS.clients[transport]),
    );
    const wanted = OTHER_DESCRIPTORS + DESCRIPTORS.server[transport] * (this.#count + count);
    if (wanted > openFiles || perProcess <= 0) {
      throw new Error(
        `a process may have ${openFiles} open files here (ulimit -n), the server needs some ${wanted}`,
      );
    }
    const starts: Promise<Child>[] = [];
    for (let left = count; left > 0; left -= perProcess) {
      const numbers = [this.port, this.#count, Math.min(left, perProcess), heartbeatMs];
      this.#count += Math.min(left, perProcess);
      const words = [transport, ...numbers.map(String), this.sharedDirectory];
      starts.push(startChild('./idle/clients.js', words));
    }
    const started = await Promise.allSettled(starts);
    for (const start of started) if (start.status === 'fulfilled') this.#helpers.push(start.value);
    for (const start of started) if (start.status === 'rejected') throw start.reason;
  }

  /** Has the server poll, to answer messages at once, or sleep again. */
  async busy(): Promise<void> {
    await this.#server.order('busy');
  }
  async rest(): Promise<void> {
    await this.#server.order('rest');
  }

  /** Time of processors that the server and the clients have had so far, in nanoseconds. */
  async usage(): Promise<{ readonly server: number; readonly clients: number }> {
    const [server, ...clients] = (await Promise.all(
      [this.#server, ...this.#helpers].map((child) => child.order('usage')),
    )) as [Usage, ...Usage[]];
    return { server: server.cpuNs, clients: clients.reduce((sum, { cpuNs }) => sum + cpuNs, 0) };
  }

  /** Resident memory of the server, in bytes. */
  async memory(): Promise<number> {
    return (await this.#server.order('memory')) as number;
  }

  /** Throws unless all idle connections, and so many others, are connected still. */
  async check(others: number): Promise<void> {
    const expected = this.#count + others;
    const found = await this.#server.order('count');
    if (found !== expected) throw new Error(`${expected} connections were opened, ${found} are connected`);
  }

  onLost(callback: (error: Error) => void): void {
    this.#server.onLost(callback);
  }

  /** Ends all, and removes what was kept. Twice is harmless. */
  async stop(): Promise<void> {
    await Promise.all([this.#server, ...this.#helpers].map((child) => child.stop()));
    this.#folder.remove();
  }
}

/** How many files a process may have open. Node has raised the soft limit to the hard one. */
function mostOpenFiles(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return limit === null ? Number.POSITIVE_INFINITY : Number(limit[1]);
}
