/** Values over a channel, there and back, in the ways that it has. */
import { bytesCodec, channel, type MsgpackOptions, msgpack } from '../../lib/index.js';
import { stamp, verify } from '../mix.js';
import { viewOf } from '../peers/link.js';
import type { RoundTrip, Subject } from '../subject.js';
import {
  ORDER_RECORDS,
  type Order,
  orderOf,
  type Quote,
  quote,
  RAW_BYTES,
  verifyOrder,
  verifyQuote,
  writeQuote,
} from './messages.js';
import { type Duty, startSides } from './sides.js';
import { HandlerTrips, type Lane, type Listener } from './trips.js';

const BATCH = 100;

type Connect<T> = (cpu: number, listener: Listener<T>) => Promise<Lane<T>>;

/** Its floor only tells of the state of the machine: it passes no values. */
function subjectOf(name: string, start: (cpu: number) => Promise<RoundTrip>): Subject {
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads: 2,
    batch: BATCH,
    start: ([, far]) => start(far),
  };
}

const handled = <T>(name: string, connect: Connect<T>): Subject =>
  subjectOf(name, (cpu) => HandlerTrips.start<T>((listener) => connect(cpu, listener)));

const connectOrders =
  (duty: Duty, options: MsgpackOptions): Connect<Order> =>
  async (cpu, listener) => {
    const { connection, stop } = await startSides(duty, cpu, (error) => listener.failed(error));
    const orders = channel(connection, msgpack<Order>(options)).on('any', (order) =>
      listener.answered(order),
    );
    return { send: (sequence) => sent(orders.send(orderOf(sequence))), verify: verifyOrder, stop };
  };

const connectBytes: Connect<Uint8Array> = async (cpu, listener) => {
  const { connection, stop } = await startSides('bytes', cpu, (error) => listener.failed(error));
  const messages = channel(connection, bytesCodec).on('any', (bytes) => listener.answered(bytes));
  const bytes = new Uint8Array(RAW_BYTES);
  const view = viewOf(bytes);
  return {
    send(sequence) {
      stamp(view, 0, RAW_BYTES, sequence);
      sent(messages.send(bytes));
    },
    verify: verifyBytes,
    stop,
  };
};

const connectQuotes: Connect<Quote> = async (cpu, listener) => {
  const { connection, stop } = await startSides('struct', cpu, (error) => listener.failed(error));
  channel(connection, quote.inPlace).on('any', (cursor) => listener.answered(cursor));
  return {
    send(sequence) {
      const to = quote.alloc(connection);
      if (to === null) return sent(false);
      writeQuote(to, sequence);
      connection.push();
    },
    verify: verifyQuote,
    stop,
  };
};

export const handlers = handled('everyday/object/handlers', connectOrders('handlers', {}));
export const records = handled('everyday/object/records', connectOrders('records', ORDER_RECORDS));
export const bytes = handled('everyday/bytes', connectBytes);
export const structs = handled('everyday/struct', connectQuotes);

/** With promises on both sides: `sendAsync` and `receive`. */
export const receive = subjectOf('everyday/object/receive', async (cpu) => {
  let fail = (_error: Error): void => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const { connection, stop } = await startSides('receive' satisfies Duty, cpu, (error) => fail(error));
  const orders = channel(connection, msgpack<Order>());
  let sequence = 0;
  const trips = async (count: number): Promise<void> => {
    for (const end = sequence + count; sequence < end; sequence++) {
      await orders.sendAsync(orderOf(sequence));
      verifyOrder(await orders.receive(), sequence);
    }
  };
  return { asynchronous: true, roundTrips: (count) => Promise.race([trips(count), failed]), stop };
});

export function verifyBytes(message: Uint8Array, sequence: number): void {
  verify(viewOf(message), 0, message.byteLength, sequence, RAW_BYTES);
}

function sent(done: boolean): void {
  if (!done) throw new Error('no room for a message that travels alone');
}
