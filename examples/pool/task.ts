/** The task of main.ts, in a thread of the pool. */
export interface Text {
  readonly text: string;
}

/** How many words a text has. */
export default function countWords({ text }: Text): number {
  if (typeof text !== 'string') throw new TypeError(`a text is a string, got ${typeof text}`);
  return text.split(' ').filter((word) => word !== '').length;
}
