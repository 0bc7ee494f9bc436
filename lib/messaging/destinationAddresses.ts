/** The addresses of a destination, each as a text, and which of them is tried next. */
export class AddressBook {
  #addresses: readonly string[] = [];
  #next = 0;

  get size(): number {
    return this.#addresses.length;
  }

  /** What a resolver has found. Begins anywhere (`random` from 0 to below 1), so that clients spread over servers. */
  replace(addresses: readonly string[], random: number): void {
    const unique = [...new Set(addresses)];
    const known = this.#addresses;
    if (unique.length === known.length && unique.every((address) => known.includes(address))) return;
    this.#addresses = unique;
    this.#next = Math.floor(random * unique.length);
  }

  /**
   * The address for one more connection: the preferred one if it is still an address, else the one after the last that
   * has the fewest connections. Null where there are none.
   */
  choose(preferred: string | null, connectionsAt: (address: string) => number): string | null {
    const addresses = this.#addresses;
    if (preferred !== null && addresses.includes(preferred)) return preferred;
    let best: string | null = null;
    let fewest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(this.#next + i) % addresses.length] as string;
      const connections = connectionsAt(address);
      if (connections >= fewest) continue;
      best = address;
      fewest = connections;
    }
    if (best !== null) this.#next = (addresses.indexOf(best) + 1) % addresses.length;
    return best;
  }
}
