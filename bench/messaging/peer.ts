/** Peers: requests as they are made over what carries messages only, by an id and a map of promises. */
import type { Link, Peer } from '../peers/link.js';
import { packed, unpacked } from './asked.js';
import type { Asked, Asker } from './asking.js';

export function askedPeer(peer: Peer, name: string): Asked {
  return {
    name,
    limit: peer.limit,
    busyThreads: 0,
    start: async (far) => new LinkAsker(await peer.connect(far, 'answer')),
  };
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

class LinkAsker implements Asker {
  readonly #link: Link;
  readonly #waiting = new Map<number, Waiting>();
  #id = 0;
  /** What waits until the message before it was taken. */
  #unsent: Uint8Array[] = [];
  #sending = false;
  #failure: Error | null = null;

  constructor(link: Link) {
    this.#link = link;
    link.listen(
      (message) => {
        const { id, value } = unpacked(message);
        this.#waiting.get(id)?.resolve(value);
        this.#waiting.delete(id);
      },
      (error) => this.#failed(error),
    );
  }

  ask(question: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) throw this.#failure;
      const id = this.#id++;
      this.#waiting.set(id, { resolve, reject });
      const message = packed(id, question);
      if (this.#sending) this.#unsent.push(message);
      else this.#send(message);
    });
  }

  async stop(): Promise<void> {
    await this.#link.stop();
    this.#failed(new Error('it was stopped'));
  }

  #send(message: Uint8Array): void {
    const sent = this.#link.send(message);
    if (sent === undefined) return;
    this.#sending = true;
    sent.then(
      () => {
        this.#sending = false;
        const next = this.#unsent.shift();
        if (next !== undefined) this.#send(next);
      },
      (error: Error) => this.#failed(error),
    );
  }

  #failed(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
