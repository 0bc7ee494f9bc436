/**
 * Clients that talk to each other through a server, which does not look at what they say; and what it tells all of them.
 * All are in one thread here; over shared memory and TCP between processes and hosts it is the same.
 *
 *     node dist/examples/relay/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { Broadcaster, Client, type Connection, messenger, Relay, Server, textCodec } from 'tcpshm';

const server = new Server({
  name: 'exchange',
  onConnection(connection) {
    // Who names somebody in his login is joined to him. Who is not there is refused.
    const name = Buffer.from(connection.loginData).toString();
    if (name !== '') relay.join(connection, name);
  },
});
const relay = new Relay(server);
await server.listen({ transport: 'inproc' });
const running = [server.run()];
const clients: Client[] = [];

async function connect(name: string, to = '', onNews?: (news: string) => void): Promise<Connection> {
  const client = new Client({
    name,
    ...(onNews && {
      onMessage(connection, message) {
        onNews(message.text());
        connection.pop();
      },
    }),
  });
  clients.push(client);
  const login = Buffer.from(to);
  const connection = await client.connect({ transport: 'inproc', server: 'exchange', login });
  running.push(client.run());
  return connection;
}

const back = messenger(await connect('back'));
back.handle('greet', (name: string) => `Good day, ${name}.`);
const front = messenger(await connect('front', 'back'));
console.log(await front.request('greet', 'front'));

const news = ['anna', 'bert'].map(
  (name) =>
    new Promise<string>((resolve) => void connect(name, '', (text) => resolve(`${name} has heard: ${text}`))),
);
const listeners = (): Connection[] => server.connections.filter((one) => relay.peerOf(one) === null);
while (listeners().length < news.length) await new Promise((resolve) => setTimeout(resolve, 1));
const { sent } = new Broadcaster(server, textCodec, { slow: 'drop' }).send('the market is open', listeners());
for (const heard of await Promise.all(news)) console.log(heard);
console.log(`sent to ${sent}`);

for (const client of clients) await client.close();
await server.close();
await Promise.all(running);
