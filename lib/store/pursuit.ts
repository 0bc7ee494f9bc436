import { TcpshmError } from '../errors.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Message } from '../ring/message.js';
import type { RingProducer } from '../ring/producer.js';
import { rebaseConsumer, rebaseProducer } from '../ring/rebase.js';
import { isMoved } from '../session/notices.js';
import { fencedError } from '../session/tenure.js';
import type { OpenSegment } from './openSegment.js';

/** How often the session may turn out not to have moved, in one search: each time somebody has to say that anew. */
const MOST_FALSE_ALARMS = 100;

/**
 * Goes after a session that somebody moves to a fresh file (takeOver.ts) while this process has a side of it open: opens
 * the side there, and brings the ends along with whatever they did in the old file after it was copied.
 */
export class Pursuit {
  #open: OpenSegment;
  #producer: RingProducer;
  #consumer: RingConsumer;
  #notices: Int32Array;
  /** Files that the session has moved from, until nobody looks at a message in them any more. */
  readonly #left: { readonly open: OpenSegment; readonly message: Message }[] = [];

  constructor(open: OpenSegment, producer: RingProducer, consumer: RingConsumer) {
    this.#open = open;
    this.#producer = producer;
    this.#consumer = consumer;
    this.#notices = open.segment.notices;
  }

  /** The file that counts, as far as it was reached, and the ends; the producer may still be in the one before. */
  get open(): OpenSegment {
    return this.#open;
  }
  get producer(): RingProducer {
    return this.#producer;
  }
  get consumer(): RingConsumer {
    return this.#consumer;
  }
  /** The `moved` word of the file that the producer is in. */
  get notices(): Int32Array {
    return this.#notices;
  }

  /**
   * True where both ends, or with an open claim or batch the consumer, are in the file that counts; the producer follows
   * when that is published. False while the session is being moved. Throws ERR_FENCED when the side is another
   * process's by now, ERR_FILE, ERR_SEGMENT, ERR_PROTOCOL when the peer says again and again that the session moves.
   */
  search(): boolean {
    for (let alarms = 0; ; ) {
      const { segment, role } = this.#open;
      const left = this.#left.at(-1);
      if (left !== undefined && this.#notices !== segment.notices && !this.#producer.busy) {
        const from = left.open.segment.outgoing(role);
        this.#producer = rebaseProducer(this.#producer, from, segment.outgoing(role));
        this.#notices = segment.notices;
      }
      if (!isMoved(segment.notices)) return true;
      // One move at a time: at another one, all waits for what is still to be published in the file before.
      if (this.#notices !== segment.notices) return false;
      const found = this.#open.follow();
      if (found.kind === 'moving') return false;
      if (found.kind === 'here' && ++alarms > MOST_FALSE_ALARMS) throw restless(this.#open.where);
      if (found.kind === 'taken') {
        const { client, server } = segment.identity;
        throw fencedError(role === 'client' ? client : server, role === 'client' ? server : client, found.by);
      }
      if (found.kind === 'moved') {
        // A message that was given to the user stays readable in the old file.
        this.#left.push({ open: this.#open, message: this.#consumer.message });
        this.#open = found.open;
        this.#consumer = rebaseConsumer(this.#consumer, found.open.segment.incoming(role));
      }
    }
  }

  /** Closes files that nobody looks at any more: nothing may be held by the consumer. */
  closeUnused(): void {
    for (const { open, message } of this.#left) {
      // The producer may still be in the last of them.
      if (open.segment.notices === this.#notices) return;
      message.expire();
      open.close();
    }
    this.#left.length = 0;
  }

  /** Closes all files that the session has moved from, with the end of the connection. */
  closeLeft(): void {
    for (const { open, message } of this.#left.splice(0)) {
      message.expire();
      open.close();
    }
  }
}

function restless(where: string): TcpshmError {
  return new TcpshmError(
    'ERR_PROTOCOL',
    `the peer said ${MOST_FALSE_ALARMS} times in a row that the session in ${where} moves: expected that somebody` +
      ' moves it, got nobody',
  );
}
