import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { PlainError } from '../thread/plainError.js';
import type { Parcel } from './parcel.js';

/**
 * What the server's thread and that of a group say to each other: about connections, which have numbers, and nothing
 * of what goes over them. Both directions are in order, which much relies on: what is said of a connection is said
 * before the answer to a question that came later.
 */
export type ToGroup =
  /** A connection is the group's from here on. */
  | { readonly kind: 'take'; readonly id: number; readonly parcel: Parcel }
  /** Is it to be given up, for another group: as soon as that can be. */
  | { readonly kind: 'pass'; readonly id: number }
  /** Its client logs in again: has its link ended? */
  | { readonly kind: 'ask'; readonly id: number; readonly question: number }
  /** The server closes: all connections end, and so does the thread. */
  | { readonly kind: 'stop' };

export type FromGroup =
  | { readonly kind: 'started' }
  /** The module could not be loaded, or did not want to start: the thread ends. */
  | { readonly kind: 'failed'; readonly error: PlainError }
  | { readonly kind: 'taken'; readonly id: number }
  /** As it was asked to. */
  | { readonly kind: 'passed'; readonly id: number; readonly parcel: Parcel }
  /** A connection has ended, and its session is closed. With an error, it could not be opened or closed as it should. */
  | {
      readonly kind: 'left';
      readonly id: number;
      readonly removed: boolean;
      readonly error: PlainError | null;
    }
  /** What there is to tell has been told. */
  | { readonly kind: 'answer'; readonly question: number }
  /** Something for the server's `onError`. */
  | { readonly kind: 'error'; readonly error: PlainError };

/**
 * An end of the line between the two. Messages are handed to the handler when the event loop turns, or by `poll` where
 * it does not; after `close` no more.
 */
export class Line<Out, In> {
  readonly #port: MessagePort;
  readonly #handle: (message: In) => void;
  #closed = false;

  constructor(port: MessagePort, handle: (message: In) => void) {
    this.#port = port;
    this.#handle = handle;
    port.on('message', (message: In) => {
      if (!this.#closed) handle(message);
    });
  }

  post(message: Out): void {
    this.#port.postMessage(message);
  }

  /** Hands over what has come. */
  poll(): void {
    while (!this.#closed) {
      const received = receiveMessageOnPort(this.#port) as { readonly message: In } | undefined;
      if (received === undefined) return;
      this.#handle(received.message);
    }
  }

  close(): void {
    this.#closed = true;
    this.#port.close();
  }
}
