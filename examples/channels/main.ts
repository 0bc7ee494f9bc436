/**
 * Values over connections: orders as objects, prices as structs that are read in place, and a text as a stream. Client and
 * server are in one thread here; over shared memory and TCP it is the same.
 *
 *     node dist/examples/channels/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { text as textOf } from 'node:stream/consumers';
import { Client, type Connection, channel, duplex, msgpack, Server, struct, text, webStreams } from 'tcpshm';

interface Order {
  readonly id: number;
  readonly items: readonly string[];
  readonly due: Date;
}

const tick = struct({ symbol: text(8), price: 'f64', quantity: 'u32' });

const server = new Server({ name: 'desk', onConnection: (connection) => serve(connection) });
await server.listen({ transport: 'inproc' });
const serving = server.run();

/** What a client is, its name says here. */
async function serve(connection: Connection): Promise<void> {
  if (connection.remoteName === 'orders') {
    const orders = channel(connection, msgpack<Order>());
    // A message is popped when its body is done: if the process dies in it, the order comes again.
    for await (const order of orders)
      await orders.sendAsync({ ...order, items: [...order.items, 'receipt'] });
  } else if (connection.remoteName === 'ticks') {
    const ticks = channel(connection, tick.inPlace);
    let sum = 0;
    for await (const { price, quantity } of ticks) {
      sum += price * quantity;
      // Fits the last one: the queue has room for some ten thousand of them.
      if (quantity === 0) await ticks.sendAsync({ symbol: 'SUM', price: sum, quantity: 0 });
    }
  } else {
    const { readable, writable } = webStreams(connection);
    const writer = writable.getWriter();
    await writer.write(Buffer.from((await textOf(readable)).toUpperCase()));
    await writer.close();
  }
}

async function connect(
  name: string,
): Promise<{ client: Client; connection: Connection; running: Promise<void> }> {
  const client = new Client({ name });
  const connection = await client.connect({ transport: 'inproc', server: 'desk' });
  return { client, connection, running: client.run() };
}

const ofOrders = await connect('orders');
const orders = channel(ofOrders.connection, msgpack<Order>());
await orders.sendAsync({ id: 1, items: ['coffee'], due: new Date('2030-01-01') });
const { id, items, due } = await orders.receive();
console.log(`order ${id}: ${items.join(', ')}, due ${due.toISOString().slice(0, 10)}`);

const ofTicks = await connect('ticks');
const ticks = channel(ofTicks.connection, tick);
for (let i = 0; i < 10_000; i++) await ticks.sendAsync({ symbol: 'ACME', price: 0.5, quantity: 2 });
await ticks.sendAsync({ symbol: 'ACME', price: 0, quantity: 0 });
const { symbol, price } = await ticks.receive();
console.log(`${symbol} of the ticks: ${price}`);

const ofStream = await connect('stream');
const stream = duplex(ofStream.connection);
stream.end('a text of any length');
console.log(await textOf(stream));

for (const { client, running } of [ofOrders, ofTicks, ofStream]) {
  await client.close();
  await running;
}
await server.close();
await serving;
