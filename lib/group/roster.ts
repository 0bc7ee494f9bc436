import type { TcpshmError } from '../errors.js';
import type { Transport } from '../session/loginMessages.js';
import type { Parcel } from './parcel.js';

/** A client that is connected, and the group that it is in. */
export interface GroupMember {
  readonly remoteName: string;
  readonly transport: Transport;
  readonly group: number;
}

/** A connection on its way to a thread: over with null once that has it, else with the reason. Never rejects. */
export class Journey {
  readonly over: Promise<TcpshmError | null>;
  #end: (error: TcpshmError | null) => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  end(error: TcpshmError | null): void {
    this.#end(error);
  }
}

/** A connection that belongs to the thread of a group, or is on its way to it. */
export interface Entry extends GroupMember {
  readonly id: number;
  group: number;
  /** The group that it is to be moved to. */
  target: number | null;
  /** Whether it has left the server's thread. */
  sent: boolean;
  /** What it was sent as, until its thread has it. */
  parcel: Parcel | null;
  /** Of its session, where that is kept there. */
  memory: SharedArrayBuffer | null;
  /** From the login, or a call to move it, until a thread has it. */
  journey: Journey | null;
}

/** Who is connected, in which group. */
export class Roster {
  readonly #entries = new Map<number, Entry>();
  /** The same by client, who is connected once. */
  readonly #byName = new Map<string, Entry>();
  #serial = 0;

  /** A client has logged in. */
  add(member: GroupMember): Entry {
    const entry = {
      ...member,
      id: this.#serial++,
      target: null,
      sent: false,
      parcel: null,
      memory: null,
      journey: new Journey(),
    };
    this.#entries.set(entry.id, entry);
    this.#byName.set(entry.remoteName, entry);
    return entry;
  }

  /** False when it was not there. */
  remove({ id, remoteName }: Entry): boolean {
    if (this.#byName.get(remoteName)?.id === id) this.#byName.delete(remoteName);
    return this.#entries.delete(id);
  }

  get(id: number): Entry | null {
    return this.#entries.get(id) ?? null;
  }

  find(remoteName: string): Entry | null {
    return this.#byName.get(remoteName) ?? null;
  }

  [Symbol.iterator](): IterableIterator<Entry> {
    return this.#entries.values();
  }

  get members(): readonly GroupMember[] {
    return [...this].map(({ remoteName, transport, group }) => ({ remoteName, transport, group }));
  }
}
