/** After so long a number that was in use elsewhere is tried again, in milliseconds. */
const IN_USE_MS = 10_000;

/**
 * The numbers in the names of a pool's connections: the lowest that is free, so that few sessions come about. One that
 * an address has refused is not free there: its session is live in another process, or cannot go on (the one side has
 * removed what the other still has), which only the server's user can end.
 */
export class ConnectionNumbers {
  readonly #used = new Set<number>();
  /** When a number is worth a try again, by address. */
  readonly #refused = new Map<string, Map<number, number>>();

  take(address: string, now: number): number {
    const refused = this.#refused.get(address);
    let number = 0;
    while (this.#used.has(number) || (refused?.get(number) ?? now) > now) number++;
    this.#used.add(number);
    return number;
  }

  giveBack(number: number): void {
    this.#used.delete(number);
  }

  /** A login by this number was refused: for a while, or for as long as this pool lives. */
  refuse(address: string, number: number, why: 'in use' | 'cannot go on', now: number): void {
    const refused = this.#refused.get(address) ?? new Map<number, number>();
    this.#refused.set(address, refused);
    refused.set(number, why === 'in use' ? now + IN_USE_MS : Number.POSITIVE_INFINITY);
  }

  /** Forgets what addresses have refused that are none of the destination any more. */
  keepOnly(addresses: readonly string[]): void {
    for (const address of [...this.#refused.keys()]) {
      if (!addresses.includes(address)) this.#refused.delete(address);
    }
  }
}
