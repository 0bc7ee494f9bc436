/** Both sides of an exchange over a connection of ours, whatever carries it. */
import type { Connection, Message } from '../../lib/index.js';
import { payloadBytes, stamp, verify } from '../mix.js';

/** Sends message `sequence`. */
export function send(connection: Connection, sequence: number): void {
  const size = payloadBytes(sequence);
  const message = connection.alloc(size);
  if (message === null) throw new Error(`no room for message ${sequence}, though it travels alone`);
  stamp(message.view, message.offset, size, sequence);
  connection.push();
}

/** Verifies that what came back is message `sequence`, and is done with it. */
export function take(connection: Connection, message: Message, sequence: number): void {
  verify(message.view, message.offset, message.size, sequence);
  connection.pop();
}

/** Sends a message back. It is popped before that is pushed: a crash in between must not repeat an answer. */
export function answer(connection: Connection, message: Message): void {
  const copy = connection.alloc(message.size);
  if (copy === null) throw new Error('no room for an answer, though it travels alone');
  copy.copyFrom(message);
  connection.pop();
  connection.push();
}

/** What a side that has polled in vain for seconds throws: the other one is gone or has hung. */
export function noAnswer(sequence: number): Error {
  return new Error(`message ${sequence} did not come back`);
}
