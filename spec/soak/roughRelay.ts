import { Random } from '../support/random.js';
import { Relay } from '../support/relay.js';
import { type Cut, Passage } from './passage.js';

/** After a cut, connections are refused for so long, at most. */
const REFUSAL_MS = 150;

/** A relay that carries bytes as a bad network does, and cuts connections in all ways that there are. */
export class RoughRelay {
  readonly #relay: Relay;
  readonly #passages: Passage[];
  readonly #random: Random;
  #failure: unknown = null;

  private constructor(relay: Relay, passages: Passage[], random: Random) {
    this.#relay = relay;
    this.#passages = passages;
    this.#random = random;
  }

  /** The connection timeout is that of the peers: how long something lasts that they should notice by it. */
  static async listen(seed: number, connectionTimeoutMs: number): Promise<RoughRelay> {
    const random = new Random(seed);
    const passages: Passage[] = [];
    const relay = await Relay.listen((near, far) => {
      passages.push(new Passage(near, far, random, connectionTimeoutMs));
    });
    return new RoughRelay(relay, passages, random);
  }

  get port(): number {
    return this.#relay.port;
  }

  set targetPort(port: number) {
    this.#relay.targetPort = port;
  }

  /** Whether there is a connection to cut. */
  get carries(): boolean {
    this.#rethrow();
    return this.#passages.at(-1)?.whole ?? false;
  }

  /** As {@link Passage.cut} does; and may refuse new connections for a while. */
  async cut(before: () => void): Promise<(Cut & { readonly refused: string }) | null> {
    const cut = (await this.#passages.at(-1)?.cut(before)) ?? null;
    if (cut === null) return null;
    // Ended passages are of no use any more.
    this.#passages.splice(0, this.#passages.length - 1);
    const refused = this.#random.weighted([
      ['', 70],
      ['nobody listens', 15],
      ['reset', 15],
    ] as const);
    if (refused !== '') {
      this.#relay.refuse(refused, this.#random.between(1, REFUSAL_MS)).catch((error: unknown) => {
        this.#failure = error;
      });
    }
    return { ...cut, refused };
  }

  async close(): Promise<void> {
    await this.#relay.close();
    this.#rethrow();
  }

  #rethrow(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}
