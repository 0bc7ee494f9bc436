import type { RingConsumer } from '../ring/consumer.js';
import type { Bell, ParkingPlace } from '../session/parking.js';
import { hangUp, ring } from './bells.js';

/** Wakes the peer of a connection over shared memory when it sleeps: once for each time that it does. */
export class Rouser {
  readonly #place: ParkingPlace;
  readonly #ringBell: (bell: Bell) => void;
  /** Number of the parking that was rung for last. */
  #rung = 0;
  /** Position up to which space was handed back when the peer was last woken for it. */
  #handedBack = 0;
  /** How often the bell was rung. */
  rings = 0;
  /** Of the bell that was rung last. */
  #path = '';

  /** `place` is that of the peer. */
  constructor(place: ParkingPlace, ringBell: (bell: Bell) => void = ring) {
    this.#place = place;
    this.#ringBell = ringBell;
  }

  /** A message was published. */
  published(): void {
    const { parked } = this.#place;
    if (parked !== 0 && parked !== this.#rung) this.#ring(parked);
  }

  /** Space was handed back, perhaps. A peer that does not take it is not woken for the same again. */
  reclaimed({ asked, handedBack }: RingConsumer): void {
    const { parked } = this.#place;
    if (parked === 0 || parked === this.#rung || !asked || handedBack === this.#handedBack) return;
    this.#handedBack = handedBack;
    this.#ring(parked);
  }

  /** Before the memory is closed: gives what is to be called after, when the peer can see that it is. */
  end(): () => void {
    const { parked, bell } = this.#place;
    return () => {
      if (parked !== 0) this.#ringBell(bell);
      hangUp(bell.path);
    };
  }

  #ring(parked: number): void {
    const { bell } = this.#place;
    this.#rung = parked;
    this.rings++;
    // That of another thread by now, say.
    if (bell.path !== this.#path && this.#path !== '') hangUp(this.#path);
    this.#path = bell.path;
    this.#ringBell(bell);
  }
}
