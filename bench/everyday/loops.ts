/**
 * `for await` over messages that another thread sends as fast as they are taken: quotes, each verified. The producer is
 * told how many to send.
 */
import { on } from 'node:events';
import { type Codec, channel } from '../../lib/index.js';
import { type Effort, type Measurement, measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { CpuPair, Measurable } from '../subject.js';
import { QUOTE_BYTES, type QuoteValues, quote, quoteOf, verifyQuote } from './messages.js';
import { startPorts } from './ports.js';
import { startSides } from './sides.js';

const BATCH = 20_000;

interface Loop {
  /** Asks for so many more. */
  ask(count: number): void;
  readonly values: AsyncIterable<QuoteValues>;
  stop(): Promise<void>;
}

type Start = (cpu: number, failed: (error: Error) => void) => Promise<Loop>;

/** One loop, which goes on from batch to batch. */
class Consumer {
  #seen = 0;
  #end = 0;
  #failure: Error | null = null;
  #loop: Loop | null = null;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  static async start(start: Start, cpu: number): Promise<Consumer> {
    const consumer = new Consumer();
    consumer.#loop = await start(cpu, (error) => consumer.#failed(error));
    consumer.#take(consumer.#loop.values).catch((error: Error) => consumer.#failed(error));
    return consumer;
  }

  run(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#failure !== null) throw this.#failure;
      this.#end = this.#seen + count;
      this.#loop?.ask(count);
    });
  }

  async stop(): Promise<void> {
    this.#reject = () => {};
    await this.#loop?.stop();
  }

  async #take(values: AsyncIterable<QuoteValues>): Promise<void> {
    for await (const value of values) {
      verifyQuote(value, this.#seen);
      if (++this.#seen === this.#end) this.#resolve();
    }
  }

  #failed(error: Error): void {
    this.#failure ??= error;
    this.#reject(error);
  }
}

const startChannel =
  (codec: Codec<QuoteValues, QuoteValues>): Start =>
  async (cpu, failed) => {
    const { connection, stop } = await startSides('produce', cpu, failed);
    const quotes = channel(connection, codec);
    const ask = (quantity: number): void => {
      if (!quotes.send({ ...quoteOf(0), quantity })) failed(new Error('no room to ask for messages'));
    };
    return { ask, values: quotes, stop };
  };

const startPort: Start = async (cpu, failed) => {
  const { port, stop } = await startPorts('message', 'produce', cpu, failed);
  const events = on(port as unknown as NodeJS.EventEmitter, 'message') as AsyncIterable<[QuoteValues]>;
  const values = (async function* (): AsyncIterable<QuoteValues> {
    for await (const [value] of events) yield value;
  })();
  return { ask: (count) => port.postMessage(count), values, stop };
};

/** No queue and no thread: what the language takes, with values that are there. */
const startResolved: Start = async () => {
  let sequence = 0;
  let end = 0;
  let wake = (): void => {};
  const values = {
    [Symbol.asyncIterator]: () => ({
      next(): Promise<IteratorResult<QuoteValues>> {
        if (sequence < end) return Promise.resolve({ done: false, value: quoteOf(sequence++) });
        return new Promise((resolve) => {
          wake = () => resolve({ done: false, value: quoteOf(sequence++) });
        });
      },
    }),
  };
  const ask = (count: number): void => {
    end += count;
    wake();
  };
  return { ask, values, stop: async () => {} };
};

function loopOf(name: string, busyThreads: number, start: Start): Measurable {
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads,
    batch: BATCH,
    rate: { unit: '/s', bytes: QUOTE_BYTES },
    async measure(cpus: CpuPair, batch: number, effort: Effort): Promise<Measurement> {
      const consumer = await Consumer.start(start, cpus[1]);
      const timed: Timed = { asynchronous: true, run: (count) => consumer.run(count) };
      return pinnedWhile(cpus, consumer, () => measureBatches(name, timed, batch, effort));
    },
  };
}

export const cursors = loopOf('everyday/for-await', 2, startChannel(quote.inPlace));
export const copies = loopOf('everyday/for-await/copies', 2, startChannel(quote));
export const portEvents = loopOf('peer/message-port/for-await', 0, startPort);
export const resolved = loopOf('peer/resolved/for-await', 0, startResolved);
