/** The other process of main.ts: a value that it was killed at comes to its successor. */
import { Client, RingPort } from 'tcpshm';

export interface Answer {
  readonly number: number;
  readonly square: bigint;
  /** The process that has answered. */
  readonly by: number;
}

const [path = '', , sharedDirectory = ''] = process.argv.slice(2);
const client = new Client({ name: 'answerer', codec: RingPort.codec, sharedDirectory });
const port = RingPort.over(await client.connect({ path, transport: 'shm' }));
port.on('message', (value) => {
  const { number } = value as { number: number };
  const answer: Answer = { number, square: BigInt(number) ** 2n, by: process.pid };
  port.postMessage(answer);
});
await client.run();
