import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { Assembler, decodeInPlace, type Reading } from './assembler.js';
import type { Parts } from './call.js';
import type { Deadlines } from './deadlines.js';
import { Exchanges } from './exchange.js';
import { answered, failureOf } from './failure.js';
import type { OwnRequest } from './ownRequest.js';
import { Flag, type Hello, LEAST_WINDOW_BYTES, type PacketHeader, PacketKind, WHOLE } from './packet.js';
import { IncomingParts, type PartsOwner } from './parts.js';
import { pour } from './pour.js';
import { type Sender, SentFlow } from './sender.js';

/** The requests of this side: has them sent, takes their answers, and settles each of them once. */
export class Requester implements PartsOwner {
  readonly exchanges = new Exchanges<OwnRequest>();
  /** Packets for requests that had their end before. */
  lateAnswers = 0;
  /** What the peer lets a flow send before it gives credit. */
  #windowBytes = LEAST_WINDOW_BYTES;
  /** Whether the peer knows this incarnation: before that, what it says is for one that is gone. */
  #known = false;
  readonly #sender: Sender;
  readonly #reading: Reading;
  readonly #deadlines: Deadlines;
  readonly #pump: () => void;
  readonly #owners = new Map<IncomingParts, OwnRequest>();

  constructor(sender: Sender, reading: Reading, deadlines: Deadlines, pump: () => void) {
    this.#sender = sender;
    this.#reading = reading;
    this.#deadlines = deadlines;
    this.#pump = pump;
  }

  /** Starts a request: it goes out at once if it can. */
  begin(request: OwnRequest): void {
    const { exchanges } = this;
    try {
      if (exchanges.admits(request) && this.#sender.connected) {
        this.#start(request);
      } else {
        if (request.options.oneShot !== true) request.bytes = this.#encoded(request);
        exchanges.wait(request);
      }
    } catch (error) {
      this.#reject(request, error);
      return;
    }
    if (request.options.oneShot === true && !request.left) this.withdraw(request);
  }

  /** Lets those in who wait, as far as they may go out now. */
  readonly refill = (): void => {
    if (this.exchanges.waiting === 0 || !this.#sender.connected) return;
    for (let next = this.exchanges.next(); next !== null; next = this.exchanges.next()) {
      try {
        this.#start(next);
      } catch (error) {
        this.#reject(next, error);
      }
    }
  };

  withdraw(request: OwnRequest): boolean {
    if (request.left || request.stage === 'settled') return false;
    this.#reject(request, notSent(request));
    return true;
  }

  cancel(request: OwnRequest, reason: unknown): void {
    if (request.stage === 'settled') return;
    this.#tellCancelled(request);
    this.#reject(request, reason);
  }

  /** No answer in time. */
  expire(request: OwnRequest): void {
    const cause = request.left ? unanswered(request, 'it is not answered yet') : notSent(request);
    const { timeoutMs } = request.options;
    this.cancel(
      request,
      new TcpshmError('ERR_TIMEOUT', `'${request.name}' has no answer after ${timeoutMs} ms`, cause),
    );
  }

  /** A hello of the peer has come: whether it knows this incarnation, and whether it is a new one itself. */
  greeted(hello: Hello, known: boolean, isNew: boolean): void {
    this.#known ||= known;
    this.#windowBytes = hello.windowBytes;
    this.exchanges.limit = hello.requests;
    if (!isNew) return;
    const { unanswered: gone, again } = this.exchanges.peerBegan(hello.popped);
    // First of all: the end of one lets others go out, and nothing of these may.
    for (const { flow } of [...gone, ...again]) if (flow !== null) this.#sender.outgoing.remove(flow);
    for (const request of again) this.#reset(request);
    for (const request of gone) this.#reject(request, unanswered(request, 'the peer has ended with it'));
  }

  /** A fragment of an answer. Gives what cannot be, if it is that. */
  data(header: PacketHeader, message: Message): string | null {
    const request = this.#find(header);
    if (request === null || typeof request === 'string') return request;
    // One that comes behind fragments of another value is not in turn, which the assembler tells.
    if (header.flags === (WHOLE | Flag.answer) && request.assembler === null) {
      let value: unknown;
      try {
        value = decodeInPlace(this.#reading.codec, header, message);
      } catch (error) {
        this.#reject(request, error);
        return null;
      }
      this.#resolve(request, value);
      return null;
    }
    request.assembler ??= new Assembler(this.#reading);
    const { assembler } = request;
    const wrong = assembler.take(header, message);
    if (wrong !== null) {
      this.cancel(request, wrong);
      return null;
    }
    const { parts } = request;
    if (parts !== null) {
      if (assembler.complete) parts.add(assembler.value, assembler.flow.completedCost);
      if (assembler.flow.ended) this.#resolve(request, undefined);
    } else if (assembler.complete) {
      this.#resolve(request, assembler.value);
      return null;
    } else if (assembler.flow.ended) {
      this.cancel(request, new TcpshmError('ERR_PROTOCOL', `'${request.name}' was answered with no value`));
    }
    this.#giveCredit(request);
    return null;
  }

  /** An error for an answer. */
  fail(header: PacketHeader, payload: Uint8Array): string | null {
    const request = this.#find(header);
    if (request === null || typeof request === 'string') return request;
    this.#reject(request, answered(String(request.name), failureOf(payload)));
    return null;
  }

  /** The peer takes more of a request. */
  credit(header: PacketHeader): string | null {
    const request = this.#find(header);
    if (request === null || typeof request === 'string') return request;
    this.#sender.credited(request.flow, header.word);
    return null;
  }

  /** The end of all that have none yet. */
  close(error: TcpshmError): void {
    for (const request of this.exchanges.all()) {
      this.#reject(
        request,
        request.left ? unanswered(request, error.message, error) : notSent(request, error),
      );
    }
  }

  taken(parts: IncomingParts): void {
    const request = this.#owners.get(parts);
    if (request !== undefined) this.#giveCredit(request);
  }

  left(parts: IncomingParts): void {
    const request = this.#owners.get(parts);
    if (request !== undefined) this.cancel(request, new TcpshmError('ERR_CLOSED', 'its loop was left'));
  }

  /** The answer of a request comes in parts. */
  expectParts(request: OwnRequest): void {
    request.assembler = new Assembler(this.#reading);
    request.parts = new IncomingParts(request.assembler, this);
    this.#owners.set(request.parts, request);
  }

  #start(request: OwnRequest): void {
    const { options } = request;
    const sender = this.#sender;
    const flags = (request.notice ? Flag.notice : 0) | (request.parts === null ? 0 : Flag.many);
    if (options.body === undefined && request.bytes === null) {
      const bytes = sender.open(request.name, flags, request.value, request);
      if (bytes === null) {
        if (request.notice) this.#resolve(request, undefined);
        return;
      }
      request.bytes = bytes;
    }
    if (request.stage !== 'released') this.exchanges.release(request);
    const flow = new SentFlow(false, request.level, this.#windowBytes);
    flow.name = request.name;
    flow.openFlags = flags;
    flow.exchange = request;
    flow.bytes = request.bytes ?? this.#encoded(request);
    flow.raw = request.value === undefined;
    flow.ends = options.body === undefined;
    request.bytes = null;
    request.flow = flow;
    if (options.body === undefined) {
      if (request.notice) flow.onSent = () => this.#resolve(request, undefined);
    } else {
      this.#pour(request, flow);
    }
    sender.stir(flow);
    this.#pump();
  }

  #pour(request: OwnRequest, flow: SentFlow): void {
    const { body } = request.options;
    let parts: Parts;
    try {
      parts = typeof body === 'function' ? body() : (body as Parts);
    } catch (error) {
      this.cancel(request, error);
      return;
    }
    pour(parts, flow, this.#sender, this.#pump).then(
      () => {
        if (request.notice && !flow.done) flow.onSent = () => this.#resolve(request, undefined);
        else if (request.notice) this.#resolve(request, undefined);
      },
      (error: unknown) => {
        if (request.flow === flow) this.cancel(request, error);
      },
    );
  }

  #encoded(request: OwnRequest): Uint8Array {
    return this.#sender.bytesOf(request.value);
  }

  /** One that goes out again. */
  #reset(request: OwnRequest): void {
    if (request.flow !== null) this.#sender.giveUp(request.flow);
    request.flow = null;
    request.assembler?.release();
    request.assembler = null;
  }

  /** The open request of a packet; null if it had its end, or is for an incarnation that is gone. */
  #find({ id }: PacketHeader): OwnRequest | string | null {
    if (this.#known) {
      const request = this.exchanges.find(id);
      if (request !== undefined) return request;
      if (!this.exchanges.knew(id)) return `an answer to the request ${id}, which there was none`;
    }
    this.lateAnswers++;
    return null;
  }

  #giveCredit(request: OwnRequest): void {
    const { assembler } = request;
    if (assembler !== null && request.stage === 'open') {
      this.#sender.giveCredit(assembler.flow, 0, request.id);
    }
  }

  #tellCancelled(request: OwnRequest): void {
    if (request.stage === 'open') this.#sender.control(PacketKind.cancel, 0, request.id, 0);
  }

  #resolve(request: OwnRequest, value: unknown): void {
    if (this.#settle(request, null)) request.resolve(value);
  }

  #reject(request: OwnRequest, error: unknown): void {
    if (this.#settle(request, error)) request.reject(error);
  }

  /** Its end: false if it had that before. */
  #settle(request: OwnRequest, error: unknown): boolean {
    if (!this.exchanges.settle(request)) return false;
    if (request.slot >= 0) this.#deadlines.remove(request);
    request.assembler?.release();
    const { flow, parts } = request;
    if (flow !== null) {
      request.flow = null;
      this.#sender.giveUp(flow);
    }
    if (parts !== null) {
      this.#owners.delete(parts);
      parts.end(error);
    }
    this.refill();
    return true;
  }
}

function notSent(request: OwnRequest, cause?: TcpshmError): TcpshmError {
  return new TcpshmError('ERR_NOT_SENT', `'${request.name}' was not sent`, cause);
}

function unanswered(request: OwnRequest, why: string, cause?: TcpshmError): TcpshmError {
  return new TcpshmError('ERR_UNANSWERED', `'${request.name}' was sent, and may have run: ${why}`, cause);
}
