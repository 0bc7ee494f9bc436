/** What the specs of messaging share: two messengers over a connection, polled while a promise is waited for. */
import { expect } from 'chai';
import {
  type ErrorCode,
  type Messenger,
  type MessengerOptions,
  messenger,
  TcpshmError,
} from '../../lib/index.js';
import { type Pair, Scene, type Way } from '../peers/support.js';

export interface Talk {
  readonly scene: Scene;
  readonly pair: Pair;
  /** Of the client and of the server. */
  readonly near: Messenger;
  readonly far: Messenger;
  /** Polls both until a promise is settled, and gives what it was settled with. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /** The error that it was rejected with. */
  rejected(promise: Promise<unknown>, code: ErrorCode): Promise<TcpshmError>;
  turns(count: number): Promise<void>;
}

export async function talk(
  way: Way,
  options: MessengerOptions & { readonly capacityBytes?: number; readonly far?: MessengerOptions } = {},
): Promise<Talk> {
  const { capacityBytes = 65_536, far: farOptions, ...nearOptions } = options;
  const scene = new Scene();
  const capacity = { sendCapacityBytes: capacityBytes, receiveCapacityBytes: capacityBytes };
  const pair = await scene.pair(way, capacity);
  const near = messenger(pair.local, nearOptions);
  const far = messenger(pair.remote, farOptions ?? nearOptions);
  return {
    scene,
    pair,
    near,
    far,
    settled: (promise) => scene.settled(promise, 'a promise of messaging'),
    async rejected(promise, code) {
      const error = await scene.settled(
        promise.then(
          (value) => new Error(`it was resolved with ${String(value)}`),
          (reason: unknown) => reason,
        ),
        `a rejection with ${code}`,
      );
      expect(error, String(error)).to.be.instanceOf(TcpshmError);
      expect(error, String(error)).to.have.property('code', code);
      return error as TcpshmError;
    },
    async turns(count) {
      for (let i = 0; i < count; i++) await scene.turn();
    },
  };
}

/** A promise, and what settles it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
