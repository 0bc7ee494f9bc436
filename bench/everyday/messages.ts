/** What the messages of this benchmark carry: an object as applications have them, bytes, and a struct. */
import { type Cursor, type MsgpackOptions, struct } from '../../lib/index.js';

/** Ten fields, of which two have parts. */
export interface Order {
  readonly id: number;
  readonly symbol: string;
  readonly side: string;
  readonly price: number;
  readonly quantity: number;
  readonly live: boolean;
  readonly placedAt: number;
  readonly note: null;
  readonly tags: readonly string[];
  readonly customer: { readonly name: string; readonly city: string; readonly level: number };
}

/** What both sides know of it with records. */
export const ORDER_RECORDS: MsgpackOptions = {
  records: [
    ['id', 'symbol', 'side', 'price', 'quantity', 'live', 'placedAt', 'note', 'tags', 'customer'],
    ['name', 'city', 'level'],
  ],
};

const SYMBOLS = ['ACME', 'GLOBEX', 'INITECH', 'UMBRELLA'] as const;

export function orderOf(sequence: number): Order {
  return {
    id: sequence,
    symbol: SYMBOLS[sequence & 3] as string,
    side: (sequence & 1) === 0 ? 'buy' : 'sell',
    price: sequence + 0.25,
    quantity: sequence & 0xffff,
    live: (sequence & 2) === 0,
    placedAt: 1_700_000_000_000 + sequence,
    note: null,
    tags: ['urgent', 'limit', 'day'],
    customer: { name: 'A. Customer', city: 'Zürich', level: sequence & 7 },
  };
}

/** Throws unless it is the order of this number, field by field. */
export function verifyOrder(order: Order, sequence: number): void {
  const right =
    order.id === sequence &&
    order.symbol === SYMBOLS[sequence & 3] &&
    order.side === ((sequence & 1) === 0 ? 'buy' : 'sell') &&
    order.price === sequence + 0.25 &&
    order.quantity === (sequence & 0xffff) &&
    order.live === ((sequence & 2) === 0) &&
    order.placedAt === 1_700_000_000_000 + sequence &&
    order.note === null &&
    order.tags.length === 3 &&
    order.tags[1] === 'limit' &&
    order.customer.name === 'A. Customer' &&
    order.customer.city === 'Zürich' &&
    order.customer.level === (sequence & 7);
  if (!right) throw new Error(`order ${sequence} came back wrong: ${JSON.stringify(order)}`);
}

/** Bytes about as many as an order has as MessagePack. */
export const RAW_BYTES = 160;

/** Six fields of six kinds. */
export const quote = struct({
  time: 'f64',
  price: 'f64',
  id: 'i32',
  quantity: 'u32',
  venue: 'u16',
  side: 'u8',
});
export const QUOTE_BYTES = quote.sizeBytes;
export type Quote = Cursor<typeof quote.fields>;

/** The same with values that are there for good. */
export type QuoteValues = { readonly [N in keyof Quote]: number };

export function writeQuote(to: Quote, sequence: number): void {
  to.time = sequence + 0.5;
  to.price = sequence * 0.25;
  to.id = sequence | 0;
  to.quantity = sequence >>> 0;
  to.venue = sequence & 0xffff;
  to.side = sequence & 0xff;
}

export function quoteOf(sequence: number): QuoteValues {
  return {
    time: sequence + 0.5,
    price: sequence * 0.25,
    id: sequence | 0,
    quantity: sequence >>> 0,
    venue: sequence & 0xffff,
    side: sequence & 0xff,
  };
}

/** Throws unless it is the quote of this number, field by field. */
export function verifyQuote(from: QuoteValues, sequence: number): void {
  const right =
    from.time === sequence + 0.5 &&
    from.price === sequence * 0.25 &&
    from.id === (sequence | 0) &&
    from.quantity === sequence >>> 0 &&
    from.venue === (sequence & 0xffff) &&
    from.side === (sequence & 0xff);
  if (!right) throw new Error(`quote ${sequence} came wrong: ${from.id}, ${from.time}, ${from.side}`);
}
