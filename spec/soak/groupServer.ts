/** The server of a soak run whose groups are in threads: moves its connection between them, and kills them. */
import { type PeerOptions, Server, type TcpshmError } from '../../lib/index.js';
import { Random, randomSeed } from '../support/random.js';
import { recordThreads } from '../support/threads.js';
import type { Board } from './board.js';

/** A connection that can be moved, as one in that many polls. */
const MOVE_ONE_IN = 200;
/** What a move may end with: the client is gone, or the thread. */
const USUAL_ENDS = ['ERR_NOT_CONNECTED', 'ERR_WORKER', 'ERR_CLOSED'];

export class GroupServer {
  readonly server: Server;
  readonly #board: Board;
  readonly #groups: number;
  readonly #random = new Random(randomSeed());
  readonly #recorded = recordThreads();
  #moving = false;
  #killing = false;
  #failure: unknown = null;

  constructor(
    board: Board,
    options: PeerOptions & { readonly name: string },
    groups: number,
    boardPath: string,
  ) {
    const worker = new URL(`./groupMain.js?board=${encodeURIComponent(boardPath)}`, import.meta.url);
    this.#board = board;
    this.#groups = groups;
    this.server = new Server({
      ...options,
      groups: { count: groups, worker },
      acceptLogin: () => ({ group: this.#random.below(groups) }),
      onError: (error) => this.#report(error),
    });
  }

  poll(): void {
    if (this.#failure !== null) throw this.#failure;
    const board = this.#board;
    // Until the judge has seen the death, nobody takes the place of the dead: it is the poll that replaces them.
    if (board.deaths !== board.deathsSeen) return;
    if (this.#killing) {
      this.server.poll();
      return;
    }
    if (!this.#moving && board.deathsWanted !== board.deaths) void this.#kill();
    else if (!this.#moving && this.#random.once(MOVE_ONE_IN)) void this.#move();
    this.server.poll();
  }

  async close(): Promise<void> {
    this.#recorded.restore();
    await this.server.close({ removeSessions: true });
  }

  /** Kills the thread that has the connection, if one has it. */
  async #kill(): Promise<void> {
    this.#killing = true;
    const board = this.#board;
    const group = this.server.members[0]?.group ?? this.#random.below(this.#groups);
    const thread = this.#recorded.threads.find(({ threadId }) => threadId === board.threadOf(group));
    if (thread !== undefined) {
      const exit = new Promise((resolve) => thread.once('exit', resolve));
      if (this.#random.once(2)) board.victim = thread.threadId;
      // One without a connection does not end itself.
      setTimeout(() => void thread.terminate(), this.#random.below(20));
      await exit;
      board.victim = 0;
    }
    board.died();
    this.#killing = false;
  }

  async #move(): Promise<void> {
    this.#moving = true;
    const [member] = this.server.members;
    try {
      if (member !== undefined && this.#groups > 1) {
        await this.server.move(member.remoteName, this.#random.below(this.#groups));
        this.#board.moved();
      }
    } catch (error) {
      if (!USUAL_ENDS.includes((error as TcpshmError).code)) this.#failure ??= error;
    }
    this.#moving = false;
  }

  #report(error: TcpshmError): void {
    const { code, message } = error;
    // That threads end is what this is about; and what becomes of a connection on its way there.
    const expected = code === 'ERR_WORKER' && /has ended/.test(message);
    if (!expected && (code === 'ERR_PROTOCOL' || code === 'ERR_HANDLER' || code === 'ERR_WORKER')) {
      this.#failure ??= error;
    }
  }
}
