import { type Channel, channel } from 'node:diagnostics_channel';
import type { DiagnosticEvents, DiagnosticName } from './events.js';

/** The channels of this library. The list is closed. */
export const DIAGNOSTIC_CHANNELS = [
  'tcpshm:connecting',
  'tcpshm:connect-failed',
  'tcpshm:connected',
  'tcpshm:disconnected',
  'tcpshm:closed',
  'tcpshm:login-refused',
  'tcpshm:session-begun',
  'tcpshm:session-reset',
  'tcpshm:session-taken-over',
  'tcpshm:session-set-aside',
  'tcpshm:group-started',
  'tcpshm:group-died',
  'tcpshm:pool-thread-started',
  'tcpshm:pool-thread-died',
  'tcpshm:delivered',
  'tcpshm:sent',
  'tcpshm:received',
] as const satisfies readonly DiagnosticName[];

/** One of them. Whoever asks `listened` first makes no event for nobody, which is what tracing costs then: a load. */
export class Topic<N extends DiagnosticName> {
  // Kept here, as Node.js forgets channels without subscribers that nobody has.
  private readonly _channel: Channel;

  constructor(name: N) {
    this._channel = channel(name);
  }

  get listened(): boolean {
    return this._channel.hasSubscribers;
  }

  tell(event: DiagnosticEvents[N]): void {
    this._channel.publish(event);
  }
}
