import type { LinkTraffic } from '../wire/link.js';
import { type ConnectionStats, readQueues, roundTripsOf } from './connectionStats.js';
import type { Ends } from './ends.js';
import type { Tally } from './tally.js';

/** What is read of the queues and the link when it is asked for. */
type Look = Omit<ConnectionStats, keyof Tally | 'localName' | 'remoteName' | 'transport' | 'state'>;

/** The numbers of a side: what its ends count, its logins, and what went over its links. */
export class Measures {
  /** How often polls had left it alone and were made to look again. */
  wakeups = 0;
  readonly #ends: Ends;
  #logins = 0;
  #resumes = 0;
  /** Whether the session was there before the next login. */
  #known: boolean;
  /** Of links that have ended. */
  #wireSentBytes = 0;
  #wireReceivedBytes = 0;
  /** As it was when the session was closed, whose memory is gone since. */
  #last: Look | null = null;

  constructor(ends: Ends) {
    const { producer, consumer } = ends;
    this.#ends = ends;
    this.#known = producer.pushed !== 0 || consumer.popped !== 0 || consumer.unseen;
  }

  /** There is a link: by a login, or `moved` here from another thread. Gives whether the session was there before. */
  attached(moved: boolean): boolean {
    const resumed = this.#known;
    this.#known = true;
    if (!moved) {
      this.#logins++;
      if (resumed) this.#resumes++;
    }
    return resumed;
  }

  /** A link has ended. */
  left(traffic: LinkTraffic | null): void {
    this.#wireSentBytes += traffic?.sentBytes ?? 0;
    this.#wireReceivedBytes += traffic?.receivedBytes ?? 0;
  }

  /** The session is about to be closed. */
  closing(traffic: LinkTraffic | null): void {
    this.#last = this.#look(traffic);
  }

  /** What has gone through the side, with the link that there is. */
  tally(traffic: LinkTraffic | null): Tally {
    const before = this.#ends.tally;
    return {
      ...before,
      logins: before.logins + this.#logins,
      resumes: before.resumes + this.#resumes,
      wireSentBytes: before.wireSentBytes + this.#wireSentBytes + (traffic?.sentBytes ?? 0),
      wireReceivedBytes: before.wireReceivedBytes + this.#wireReceivedBytes + (traffic?.receivedBytes ?? 0),
      wakeups: before.wakeups + this.wakeups,
    };
  }

  /** The same, with how it is now, or was when it was closed. */
  all(traffic: LinkTraffic | null): Look & Tally {
    return { ...this.tally(traffic), ...(this.#last ?? this.#look(traffic)) };
  }

  #look(traffic: LinkTraffic | null): Look {
    return { ...readQueues(this.#ends), ...roundTripsOf(traffic) };
  }
}
