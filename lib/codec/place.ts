import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';

// Symbols, so that a struct can have fields of these names.
export const MESSAGE = Symbol('message');
export const BASE = Symbol('base');
export const SIZE = Symbol('size');

/** Where a cursor is: in which message, how far from its start, and of which size the message must be. */
export class Place {
  readonly [MESSAGE]: Message;
  readonly [BASE]: number;
  readonly [SIZE]: number;

  constructor(message: Message, base: number, sizeBytes: number) {
    this[MESSAGE] = message;
    this[BASE] = base;
    this[SIZE] = sizeBytes;
  }
}

/** Index in the view of a message of what is at `offset` of a place. Throws ERR_CODEC when the message is gone. */
export function indexOf(place: Place, offset: number): number {
  const message = place[MESSAGE];
  if (message.size !== place[SIZE]) throw gone(place);
  return message.offset + place[BASE] + offset;
}

function gone(place: Place): TcpshmError {
  return new TcpshmError(
    'ERR_CODEC',
    `this cursor is of a message of ${place[SIZE]} bytes that was pushed or popped: its place now has ` +
      `${place[MESSAGE].size} bytes`,
  );
}
