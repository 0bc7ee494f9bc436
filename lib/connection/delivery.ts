import { Topic } from '../diagnostics/channels.js';
import type { Subject } from '../diagnostics/events.js';
import type { TcpshmError } from '../errors.js';
import { distance } from '../memory/wrap.js';
import type { Message } from '../ring/message.js';
import type { DisconnectReason } from '../session/disconnect.js';
import { isMoved } from '../session/notices.js';
import type { Ends } from './ends.js';
import { Room } from './room.js';

const DELIVERED = new Topic('tcpshm:delivered');

/** Whoever reads a connection in place of the handlers of its client or server. */
export interface Reader {
  /** Whether it takes messages now: the next visit takes one, if there is one. */
  readonly wants: boolean;
  /** A visit of a poll: takes up to `limit` messages. True if it took some. Throws what a handler throws. */
  visit(limit: number): boolean;
  /** Whether promises go on with what the last visit has taken: they get their turn before the next poll. */
  readonly settles: boolean;
  /** The connection was closed. */
  closed(error: TcpshmError): void;
  /** Its link has ended, after what had arrived was handed out; the session goes on with the next login. */
  ended?(reason: DisconnectReason): void;
}

/** A handler of messages, which pops them. */
type OnMessage<C> = (connection: C, message: Message) => void;

/** What polls have for the users of a connection: messages for who reads it, and room for who waits for it. */
export class Delivery<C extends Subject & { front(): Message | null }> {
  /** Who reads, if not the handler of whoever polls. */
  reader: Reader | null = null;
  readonly #connection: C;
  readonly #ends: Ends;
  /** Those who wait for room, once there was one. */
  #room: Room | null = null;
  /** Whether messages were handed out since that was last asked. */
  #moved = false;
  /** The same of promises that were settled. */
  #settled = false;

  constructor(connection: C, ends: Ends) {
    this.#connection = connection;
    this.#ends = ends;
  }

  /** Those who wait for room. One that sleeps learns of them by what it finds when it is woken. */
  get room(): Room {
    this.#room ??= new Room(() => this.#ends.producer);
    return this.#room;
  }

  /** Whether somebody reads, or waits for room. */
  get attended(): boolean {
    return this.reader !== null || this.#room !== null;
  }

  /** Whether there is something for who reads or waits that only polls see. */
  get restless(): boolean {
    return (this.#ends.consumer.held && this.reader === null) || this.#room?.restless === true;
  }

  /** Whether there is a message for who reads, also the one that he has left; or one that a handler was not given yet. */
  awaits(delivers: boolean): boolean {
    const { reader } = this;
    const { consumer } = this.#ends;
    if (reader === null) return delivers && consumer.unseen;
    return reader.wants && (consumer.held || consumer.unseen);
  }

  /**
   * Serves who waits for room, then who reads, else the handler, with up to `limit` messages; a handler that leaves one
   * un-popped gets no more. Throws ERR_PROTOCOL as `front` does, and ERR_FENCED, also where a handler runs into it:
   * `Side.disconnect` tells of both. Throws what a handler throws.
   */
  serve(onMessage: OnMessage<C> | undefined, limit: number): void {
    if (this.attended && this.#attend(limit)) this.#settled = true;
    if (onMessage !== undefined && this.reader === null && !this.#ends.closed) this.#handle(onMessage, limit);
  }

  /** Whether something moved since this was last asked. */
  takeMoved(): boolean {
    const moved = this.#moved || (this.#ends.pump?.received ?? false);
    this.#moved = false;
    return moved;
  }

  /** Whether promises were settled since this was last asked: they need their turn. */
  takeSettled(): boolean {
    const settled = this.#settled;
    this.#settled = false;
    return settled;
  }

  /** The connection was closed. */
  close(error: TcpshmError): void {
    this.#room?.end(error);
    this.reader?.closed(error);
  }

  #handle(onMessage: OnMessage<C>, limit: number): void {
    const ends = this.#ends;
    const connection = this.#connection;
    ends.served = true;
    let delivered = 0;
    let from = 0;
    try {
      for (; delivered < limit; delivered++) {
        // A fence is for `Side.pollLink` to notice.
        if (isMoved(ends.notices) && !ends.follow()) return;
        const message = connection.front();
        if (message === null) return;
        const { position } = ends.consumer;
        if (delivered === 0) from = position;
        onMessage(connection, message);
        if (ends.closed || ends.consumer.position === position) return;
        this.#moved = true;
      }
    } finally {
      ends.served = false;
      if (delivered !== 0 && DELIVERED.listened) this.#trace(delivered, from);
    }
  }

  /** True if one of them has something to go on with, for which promises need their turn. */
  #attend(limit: number): boolean {
    const ends = this.#ends;
    const { reader } = this;
    if (isMoved(ends.notices) && !ends.follow()) return false;
    let settled = false;
    if (this.#room !== null) {
      try {
        settled = this.#room.tend();
      } catch (error) {
        throw ends.noticed(error);
      }
    }
    if (ends.closed || reader === null) return settled;
    ends.served = true;
    const { popped, position } = ends.consumer;
    try {
      if (!reader.visit(limit)) return settled;
    } finally {
      ends.served = false;
      const delivered = ends.consumer.popped - popped;
      if (delivered > 0 && DELIVERED.listened) this.#trace(delivered, position);
    }
    this.#moved = true;
    return settled || reader.settles;
  }

  #trace(messages: number, from: number): void {
    const bytes = distance(from, this.#ends.consumer.position);
    DELIVERED.tell({ connection: this.#connection, messages, bytes });
  }
}
