/** The other thread of main.ts: what keeps it is that it listens, until the other port is closed. */
import { workerData } from 'node:worker_threads';
import { RingPort } from 'tcpshm';

export interface Question {
  readonly number: number;
}

export interface Answer {
  readonly number: number;
  readonly square: bigint;
}

const port = RingPort.open(workerData);
port.on('message', (value) => {
  const { number } = value as Question;
  port.postMessage({ number, square: BigInt(number) ** 2n });
});
