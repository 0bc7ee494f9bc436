import { createChannel } from '../channel/ringChannel.js';
import { checkOptions } from '../options.js';
import { highWaterMarkOf, type PortOptions, RingPort } from './ringPort.js';

/** Memory of a pair, for both directions alike. It is reserved when the pair is made. */
export interface RingPortOptions extends PortOptions {
  /** Of each direction: a power of two from 4096 to 2^30. Default 2^20. */
  readonly capacityBytes?: number;
}

/** Two ports that are connected, in the manner of MessageChannel: one of them is for another thread, by `detach`. */
export class RingPortPair {
  readonly port1: RingPort;
  readonly port2: RingPort;

  /** Throws ERR_CAPACITY, ERR_OPTION. */
  constructor(options: RingPortOptions = {}) {
    checkOptions(options);
    const highWaterMark = highWaterMarkOf(options);
    const memory = createChannel(options);
    const handle = { kind: 'tcpshm.RingPortHandle', memory, highWaterMark, waiting: [], parts: [] } as const;
    this.port1 = RingPort.open({ ...handle, role: 'server' });
    this.port2 = RingPort.open({ ...handle, role: 'client' });
  }

  /** Closes both, as far as they are in this thread still: for `using`. */
  [Symbol.dispose](): void {
    this.port1.close();
    this.port2.close();
  }
}
