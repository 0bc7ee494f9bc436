/** How peers have questions and answers in messages of bytes: MessagePack of an id and a value. */
import { Packr } from 'msgpackr';
import { answerTo, type Question } from './questions.js';

interface Numbered {
  readonly id: number;
  readonly value: unknown;
}

/** As our codec is: plain maps, that stand for themselves. */
const packr = new Packr({ useRecords: false });

export function packed(id: number, value: unknown): Uint8Array {
  return packr.pack({ id, value });
}

export function unpacked(message: Uint8Array): Numbered {
  return packr.unpack(message) as Numbered;
}

/** The far side: what it answers to a message. */
export function answerMessage(message: Uint8Array): Uint8Array {
  const { id, value } = unpacked(message);
  return packed(id, answerTo(value as Question));
}
