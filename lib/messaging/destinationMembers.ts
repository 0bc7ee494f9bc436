import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import type { ConnectOptions } from '../login/dial.js';
import type { Lane } from './destinationLanes.js';
import { Member } from './destinationMember.js';
import type { DestinationOptions } from './destinationOptions.js';
import { addressKey, type DestinationAddresses, type Resolver, resolverOf } from './destinationResolver.js';

/** What members tell of themselves. */
export interface MembersHost<T> {
  /** The link of one has ended; `final` when its session cannot go on. */
  ended(lane: Lane<T>, final: boolean, error: TcpshmError | null): void;
  /** One that was retired did not end in order. */
  failed(error: unknown): void;
}

/** The members of a destination, each by its lane in the plan, and the addresses that they go to. */
export class Members<T> {
  readonly #options: DestinationOptions;
  readonly #host: MembersHost<T>;
  readonly #resolver: Resolver;
  readonly #addresses = new Map<string, ConnectOptions>();
  readonly #members = new Map<Lane<T>, Member>();
  /** What ends in its own time: members that were retired. */
  readonly #endings = new Set<Promise<unknown>>();

  /** Throws ERR_OPTION. */
  constructor(addresses: DestinationAddresses, options: DestinationOptions, host: MembersHost<T>) {
    this.#options = options;
    this.#host = host;
    this.#resolver = resolverOf(addresses);
  }

  /** Of a copy: who goes through them may retire some. */
  [Symbol.iterator](): IterableIterator<Member> {
    return [...this.#members.values()].values();
  }

  /** What the connection of a lane is called, also before it is there. */
  nameOf(lane: Lane<unknown>): string {
    return `${this.#options.name}-${lane.number}`;
  }

  /** The member of a lane that was connected and not retired. */
  of(lane: Lane<T>): Member {
    return this.#members.get(lane) as Member;
  }

  /** Finds the addresses anew, and gives what lanes know them by. Rejects with ERR_CONNECT. */
  async resolve(): Promise<string[]> {
    try {
      const found = await this.#resolver();
      this.#addresses.clear();
      for (const address of found) this.#addresses.set(addressKey(address), address);
      return [...this.#addresses.keys()];
    } catch (cause) {
      const { message } = cause as Error;
      const reason = `the addresses of '${this.#options.name}' cannot be resolved: ${message}`;
      throw new TcpshmError('ERR_CONNECT', reason, cause);
    }
  }

  /**
   * Logs in for the first time, or again to the same session. Null when it was retired meanwhile. Rejects with what
   * `Member.connect` rejects with, and ERR_CONNECT for what is no error of ours.
   */
  async connect(lane: Lane<T>): Promise<Connection | null> {
    try {
      const member = this.#members.get(lane) ?? this.#add(lane);
      const connection = await member.connect();
      return this.#members.get(lane) === member ? connection : null;
    } catch (error) {
      if (error instanceof TcpshmError) throw error;
      throw new TcpshmError('ERR_CONNECT', `${this.nameOf(lane)}: ${(error as Error).message}`, error);
    }
  }

  /** Closes the connection of a lane, with `remove` its session too. Whether it had one. */
  retire(lane: Lane<T>, remove: boolean): boolean {
    const member = this.#members.get(lane);
    this.#members.delete(lane);
    if (member === undefined) return false;
    const ending = member.close(remove).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    ending.catch((error: unknown) => this.#host.failed(error));
    return member.connection !== null;
  }

  /** Resolves when those that were retired have ended. Rejects if one did not in order. */
  async ended(): Promise<void> {
    await Promise.all(this.#endings);
  }

  #add(lane: Lane<T>): Member {
    const address = this.#addresses.get(lane.address) as ConnectOptions;
    const member = new Member(this.nameOf(lane), address, this.#options, {
      ended: (final, error) => {
        if (this.#members.get(lane) === member) this.#host.ended(lane, final, error);
      },
    });
    this.#members.set(lane, member);
    return member;
  }
}
