/** Values over ports, there and back: RingPort, and MessagePort with the same code. */
import { MessageChannel, type TransferListItem } from 'node:worker_threads';
import { RingPortPair } from '../../lib/index.js';
import { stamp } from '../mix.js';
import { viewOf } from '../peers/link.js';
import { startWorker } from '../peers/worker.js';
import type { Subject } from '../subject.js';
import { verifyBytes } from './channels.js';
import { type Order, orderOf, RAW_BYTES, verifyOrder } from './messages.js';
import { HandlerTrips, type Lane, type Listener } from './trips.js';

const BATCH = 100;

/** Both kinds have these. */
export interface Port {
  postMessage(value: unknown): unknown;
  on(event: 'message', listener: (value: unknown) => void): unknown;
  close(): void;
}
export type Kind = 'ring' | 'message';

export interface PortWork {
  readonly cpu: number;
  readonly port: unknown;
  readonly kind: Kind;
  /** Sends back what comes, or as many quotes as a number says. */
  readonly duty: 'echo' | 'produce';
}

export interface PortSides {
  readonly port: Port;
  stop(): Promise<void>;
}

/** Two ports, one of them in a worker thread. */
export async function startPorts(
  kind: Kind,
  duty: PortWork['duty'],
  cpu: number,
  failed: (error: Error) => void,
): Promise<PortSides> {
  const { port, other, transfer } = kind === 'ring' ? ringPorts() : messagePorts();
  try {
    const work: PortWork = { cpu, port: other, kind, duty };
    const worker = await startWorker('../everyday/portFar.js', work, transfer);
    worker.once('error', (error) => failed(error as Error));
    const stop = async (): Promise<void> => {
      port.close();
      worker.removeAllListeners();
      await worker.terminate();
    };
    return { port, stop };
  } catch (error) {
    port.close();
    throw error;
  }
}

interface Pair {
  readonly port: Port;
  readonly other: unknown;
  readonly transfer: readonly TransferListItem[];
}

function ringPorts(): Pair {
  const { port1, port2 } = new RingPortPair();
  return { port: port1, other: port2.detach(), transfer: [] };
}

function messagePorts(): Pair {
  const { port1, port2 } = new MessageChannel();
  return { port: port1, other: port2, transfer: [port2] };
}

/** One that polls its ring in its event loop is busy, a MessagePort sleeps. */
function subjectOf<T>(
  name: string,
  kind: Kind,
  lane: Pick<Lane<T>, 'verify'> & { make(sequence: number): T },
): Subject {
  const connect = async (cpu: number, listener: Listener<T>): Promise<Lane<T>> => {
    const { port, stop } = await startPorts(kind, 'echo', cpu, (error) => listener.failed(error));
    port.on('message', (value) => listener.answered(value as T));
    return { send: (sequence) => port.postMessage(lane.make(sequence)), verify: lane.verify, stop };
  };
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads: kind === 'ring' ? 2 : 0,
    batch: BATCH,
    start: ([, far]) => HandlerTrips.start<T>((listener) => connect(far, listener)),
  };
}

const orders = { make: orderOf, verify: verifyOrder };
const view = viewOf(new Uint8Array(RAW_BYTES));
const raw = {
  make(sequence: number): Uint8Array {
    stamp(view, 0, RAW_BYTES, sequence);
    return new Uint8Array(view.buffer as ArrayBuffer);
  },
  verify: verifyBytes,
};

export const ringOrders = subjectOf<Order>('everyday/port', 'ring', orders);
export const messageOrders = subjectOf<Order>('peer/message-port/object', 'message', orders);
export const messageBytes = subjectOf<Uint8Array>('peer/message-port/bytes', 'message', raw);
