/**
 * How values lie in messages: the type of a message says whether it is a whole value or part of one, and has a number
 * that the sender gives.
 *
 *     type, 16 bits:   | part, 2 | tag, 14 |
 */
export const Part = {
  whole: 1,
  /** More of it follows, in the next message. */
  more: 2,
  last: 3,
} as const;
export type Part = (typeof Part)[keyof typeof Part];

const TAG_BITS = 14;
export const MAX_TAG = 2 ** TAG_BITS - 1;

export function typeOf(part: Part, tag: number): number {
  return (part << TAG_BITS) | tag;
}

export function partOf(type: number): number {
  return type >>> TAG_BITS;
}

export function tagOf(type: number): number {
  return type & MAX_TAG;
}
