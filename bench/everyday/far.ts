/** The worker thread of `sides.ts`. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { bytesCodec, type Codec, type Connection, channel, msgpack, Server } from '../../lib/index.js';
import { pinThread } from '../pinning.js';
import { ORDER_RECORDS, type Quote, quote, writeQuote } from './messages.js';
import { type FarWork, RUN, SERVER } from './sides.js';

const { duty, cpu, sharedDirectory } = workerData as FarWork;
/** Some seconds of looking for room. */
const MAX_LOOKS = 2 ** 30;

const duties: Record<FarWork['duty'], (connection: Connection) => void> = {
  handlers: (connection) => answerBy(msgpack(), connection),
  records: (connection) => answerBy(msgpack(ORDER_RECORDS), connection),
  receive(connection) {
    const orders = channel(connection, msgpack());
    const answer = async (): Promise<void> => {
      for (;;) await orders.sendAsync(await orders.receive());
    };
    answer().catch(() => {});
  },
  bytes(connection) {
    const messages = channel(connection, bytesCodec);
    messages.on('any', (bytes) => sent(messages.send(bytes)));
  },
  struct(connection) {
    channel(connection, quote.inPlace).on('any', (from) => {
      const to = roomFor(connection);
      to.time = from.time;
      to.price = from.price;
      to.id = from.id;
      to.quantity = from.quantity;
      to.venue = from.venue;
      to.side = from.side;
      connection.push();
    });
  },
  produce(connection) {
    let sequence = 0;
    channel(connection, quote.inPlace).on('any', ({ quantity }) => {
      for (const end = sequence + quantity; sequence < end; sequence++) {
        writeQuote(roomFor(connection), sequence);
        connection.push();
      }
    });
  },
};

function answerBy(codec: Codec<unknown>, connection: Connection): void {
  const orders = channel(connection, codec);
  orders.on('any', (order) => sent(orders.send(order)));
}

function sent(done: boolean): void {
  if (!done) throw new Error('no room for an answer, though one message is on its way');
}

function roomFor(connection: Connection): Quote {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const to = quote.alloc(connection);
    if (to !== null) return to;
  }
  throw new Error('nobody takes the messages');
}

const server = new Server({ name: SERVER, sharedDirectory, onConnection: (c) => duties[duty](c) });
await server.listen({ transport: 'inproc' });
pinThread(cpu);
(parentPort as MessagePort).postMessage('ready');
await server.run(RUN);
