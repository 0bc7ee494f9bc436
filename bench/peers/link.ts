/** The one adapter through which every peer is measured: what carries messages of bytes to a far side and back. */
import { answerMessage } from '../messaging/asked.js';
import type { Limit } from '../subject.js';
import { ANSWER_BYTES, PAYLOAD_BYTES, Tally } from '../tally.js';

export interface Peer {
  /** As in the report: 'peer/net-tcp'. */
  readonly name: string;
  /** The floor of what carries the messages. */
  readonly limit: Limit;
  /** Starts the far side, pinned to this processor, and connects to it. Rejects where the peer's module is missing. */
  connect(cpu: number, duty: Duty): Promise<Link>;
}

/**
 * What the far side does with messages: sends them back; verifies them and answers the one that ends them; or takes them
 * for questions (messaging/asked.ts) and answers each.
 */
export type Duty = 'echo' | 'sink' | 'answer';

/** The near side. */
export interface Link {
  /** Whether it holds on to what it was given after `send`. */
  readonly keeps: boolean;
  /** Sends a message; where it gives a promise, the next one has to wait for that. */
  send(message: Uint8Array): void | Promise<void>;
  /** Called once, before the first `send`: with each message that comes, whole, and when the far side is gone. */
  listen(onMessage: (message: Uint8Array) => void, onFailure: (error: Error) => void): void;
  /** Ends both sides and leaves nothing behind. Twice is harmless. */
  stop(): Promise<void>;
}

/** Number of the message that ends those of one way. */
const END = -1;

/** For the far side: what it does with each message. */
export function farDuty(duty: Duty, reply: (message: Uint8Array) => void): (message: Uint8Array) => void {
  if (duty === 'echo') return reply;
  if (duty === 'answer') return (message) => reply(answerMessage(message));
  const seen = new Tally();
  return (message) => {
    const view = viewOf(message);
    if (view.getInt32(0, true) === END) reply(answerOf(seen));
    else seen.read({ view, offset: 0, size: message.byteLength });
  };
}

/** What ends the messages of one way, and is as large as they are. */
export function endMessage(): Uint8Array {
  const message = new Uint8Array(PAYLOAD_BYTES);
  viewOf(message).setInt32(0, END, true);
  return message;
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function answerOf(seen: Tally): Uint8Array {
  const answer = new Uint8Array(ANSWER_BYTES);
  seen.tell(viewOf(answer), 0, 0);
  return answer;
}
