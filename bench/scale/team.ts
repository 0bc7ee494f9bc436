/**
 * A server with threads of groups, and clients that give them work:
 *
 *   clients, near cpu                              server: its own thread sleeps
 *   write, push ══ two connections (or four) ══►   thread of group 0, far cpu:  front, work, pop
 *   write, push ══ two connections           ══►   thread of group 1, near cpu: front, work, pop
 *               ◄── count and checksum, once ───
 *
 * Writing a message takes a hundredth of working on it, so the clients take next to nothing from the thread that they
 * share a processor with.
 */
import { type Child, startChild } from '../child.js';
import { SHARED_MEMORY, type TemporaryFolder, temporaryFolder } from '../cleanup.js';
import type { CpuPair } from '../subject.js';
import { type Burst, CONNECTIONS, groupOf, nameOf } from './lanes.js';

/** What a burst took. */
export interface Effort {
  /** Mean time of a message: of the whole burst divided by all messages. */
  readonly ns: number;
  /** Time of a processor that each thread has had, as a share of one. */
  readonly shares: readonly number[];
  /** Time of a processor for each message: of all threads together. */
  readonly cpuNs: number;
  /** As a share of one processor. */
  readonly clientsShare: number;
}

export class Team {
  readonly groups: number;
  readonly #server: Child;
  readonly #clients: Child;
  readonly #folder: TemporaryFolder;
  #lost: Error | null = null;

  /** Throws unless the connections are divided evenly between the groups. */
  static async start(groups: number, [near, far]: CpuPair): Promise<Team> {
    const folder = temporaryFolder(SHARED_MEMORY);
    const children: Child[] = [];
    try {
      const cpus = Array.from({ length: groups }, (_, group) => (group % 2 === 0 ? far : near));
      const server = await startChild('./scale/groupServer.js', [JSON.stringify([cpus, folder.path])]);
      children.push(server);
      const words = JSON.stringify([server.port, folder.path, near]);
      const clients = await startChild('./scale/groupClients.js', [words]);
      children.push(clients);
      const counts = (await server.order('count')) as number[];
      if (counts.some((count) => count !== CONNECTIONS / groups)) {
        throw new Error(`${CONNECTIONS} connections in ${groups} groups are divided ${counts.join(' : ')}`);
      }
      return new Team(groups, server, clients, folder);
    } catch (error) {
      for (const child of children) await child.stop();
      folder.remove();
      throw error;
    }
  }

  private constructor(groups: number, server: Child, clients: Child, folder: TemporaryFolder) {
    this.groups = groups;
    this.#server = server;
    this.#clients = clients;
    this.#folder = folder;
    server.onLost((error) => {
      this.#lost = error;
    });
  }

  /** `count` messages for each group. Rejects unless all were worked on and the right result has come of each. */
  async burst(count: number): Promise<Effort> {
    if (this.#lost !== null) throw this.#lost;
    const each = Math.ceil((count * this.groups) / CONNECTIONS);
    const burst = (await this.#clients.order(String(each))) as Burst;
    const threads = Array.from({ length: this.groups }, (_, group) => threadNs(burst, group, this.groups));
    const messages = each * CONNECTIONS;
    return {
      ns: burst.elapsedNs / messages,
      shares: threads.map((ns) => ns / burst.elapsedNs),
      cpuNs: threads.reduce((sum, ns) => sum + ns) / messages,
      clientsShare: burst.clientsNs / burst.elapsedNs,
    };
  }

  /** Ends both, and leaves nothing behind. Twice is harmless. */
  async stop(): Promise<void> {
    await this.#clients.stop();
    await this.#server.stop();
    this.#folder.remove();
  }
}

/** From the last answer before the burst to the last one of it. */
function threadNs({ threadsNs }: Burst, group: number, groups: number): number {
  const own = threadsNs.filter((_, i) => groupOf(nameOf(i), groups) === group);
  return Math.max(...own.map(({ after }) => after)) - Math.max(...own.map(({ before }) => before));
}
