/** Slots at first, and at most: more that are open at once than slots are found by a map. */
const LEAST_SLOTS = 64;
const MOST_SLOTS = 4096;

/**
 * What is open, by ids that are given one after the other: pure. A slot for each, chosen by the lowest bits of its id, so
 * that neither adding nor finding hashes or allocates; those that stay open until their slot is another one's are in a map.
 */
export class OpenIds<T> {
  #mask = LEAST_SLOTS - 1;
  #ids = new Uint32Array(LEAST_SLOTS);
  #items: (T | undefined)[] = new Array(LEAST_SLOTS).fill(undefined);
  #displaced: Map<number, T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `id` is none that is open. */
  add(id: number, item: T): void {
    this.#size++;
    let slot = id & this.#mask;
    while (this.#items[slot] !== undefined && this.#mask < MOST_SLOTS - 1) {
      this.#grow();
      slot = id & this.#mask;
    }
    const former = this.#items[slot];
    if (former !== undefined) {
      this.#displaced ??= new Map();
      this.#displaced.set(this.#ids[slot] as number, former);
    }
    this.#ids[slot] = id;
    this.#items[slot] = item;
  }

  find(id: number): T | undefined {
    const slot = id & this.#mask;
    if (this.#ids[slot] === id) {
      const item = this.#items[slot];
      if (item !== undefined) return item;
    }
    return this.#displaced === null ? undefined : this.#displaced.get(id);
  }

  /** False if it is not open. */
  remove(id: number): boolean {
    const slot = id & this.#mask;
    if (this.#ids[slot] === id && this.#items[slot] !== undefined) {
      this.#items[slot] = undefined;
      this.#size--;
      return true;
    }
    if (this.#displaced === null || !this.#displaced.delete(id)) return false;
    this.#size--;
    return true;
  }

  /** Those that are open, in the order of their ids, of which the last one given is `lastId`. */
  values(lastId: number): T[] {
    const open: [id: number, item: T][] = [...(this.#displaced ?? [])];
    this.#items.forEach((item, slot) => {
      if (item !== undefined) open.push([this.#ids[slot] as number, item]);
    });
    // The oldest one is the farthest behind.
    return open.sort(([a], [b]) => ((lastId - b) >>> 0) - ((lastId - a) >>> 0)).map(([, item]) => item);
  }

  clear(): void {
    this.#items.fill(undefined);
    this.#displaced = null;
    this.#size = 0;
  }

  /** Those whose slots differ have different ones among more, too. */
  #grow(): void {
    const { length } = this.#items;
    const ids = new Uint32Array(2 * length);
    const items = new Array<T | undefined>(2 * length).fill(undefined);
    this.#mask = 2 * length - 1;
    for (let i = 0; i < length; i++) {
      const item = this.#items[i];
      if (item === undefined) continue;
      const id = this.#ids[i] as number;
      ids[id & this.#mask] = id;
      items[id & this.#mask] = item;
    }
    this.#ids = ids;
    this.#items = items;
  }
}
