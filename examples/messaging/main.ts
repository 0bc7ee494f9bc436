/**
 * A service over a connection: requests and answers, an answer in parts, a file of any size, an error, and a request that
 * is given up. Client and server are in one thread here; over shared memory and TCP it is the same.
 *
 *     node dist/examples/messaging/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { Client, messenger, method, notice, Server, service, streamOf } from 'tcpshm';

/** What both sides agree on. */
const shop = service({
  price: method<{ item: string }, number>(),
  stock: streamOf<void, { item: string; pieces: number }>(),
  upload: method<{ name: string }, { bytes: number; sum: string }>(),
  sleep: method<number, void>(),
  log: notice<string>(),
});

const prices = new Map([
  ['tea', 4],
  ['coffee', 5],
]);

const server = new Server({
  name: 'shop',
  onConnection(connection) {
    shop.serve(messenger(connection), {
      price({ item }) {
        const price = prices.get(item);
        if (price === undefined) throw new RangeError(`there is no ${item}`);
        return price;
      },
      async *stock() {
        for (const item of prices.keys()) yield { item, pieces: item.length };
      },
      async upload(_, { body }) {
        const hash = createHash('sha256');
        let bytes = 0;
        for await (const part of body as AsyncIterable<Uint8Array>) {
          hash.update(part);
          bytes += part.length;
        }
        return { bytes, sum: hash.digest('hex').slice(0, 8) };
      },
      sleep: (ms, { signal }) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, ms);
          signal.addEventListener('abort', () => {
            clearTimeout(timer);
            console.log('the sleeper was woken');
            reject(signal.reason);
          });
        }),
      log: (line) => console.log(`the server was told: ${line}`),
    });
  },
});
await server.listen({ transport: 'inproc' });
const serving = server.run();

const client = new Client({ name: 'customer' });
const connection = await client.connect({ transport: 'inproc', server: 'shop' });
const running = client.run();
const far = messenger(connection);
const shopping = shop.client(far);

await shopping.log('good morning');
console.log(`tea: ${await shopping.price({ item: 'tea' })}`);
for await (const { item, pieces } of shopping.stock()) console.log(`${item}: ${pieces} pieces`);

// More than any queue here has room for, or memory if it were a file of that size.
const body = Readable.from(
  (function* () {
    for (let i = 0; i < 100; i++) yield Buffer.alloc(100_000, i);
  })(),
);
const { bytes, sum } = await shopping.upload({ name: 'picture' }, { body });
console.log(`uploaded ${bytes} bytes, ${sum}`);

try {
  await shopping.price({ item: 'gold' });
} catch (error) {
  const { code, cause } = error as { code: string; cause: Error };
  console.log(`${code}: ${cause.name}, ${cause.message}`);
}
try {
  await shopping.sleep(60_000, { timeoutMs: 50 });
} catch (error) {
  console.log((error as { code: string }).code);
}
await shopping.price({ item: 'coffee' });

await far.drain();
await client.close();
await running;
await server.close();
await serving;
