import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { Assembler, decodeInPlace, type Reading } from './assembler.js';
import type { Method } from './call.js';
import type { Deadlines } from './deadlines.js';
import { Arrivals } from './exchange.js';
import { failureBytes, failureOf, refusal } from './failure.js';
import { Flag, type Hello, LEAST_WINDOW_BYTES, type PacketHeader, PacketKind, WHOLE } from './packet.js';
import { IncomingParts, type PartsOwner } from './parts.js';
import { isParts, pour } from './pour.js';
import { type Sender, SentFlow } from './sender.js';
import { type Handler, Served } from './served.js';

/** Most bytes of an error that is told. */
const FAILURE_BYTES = 512;

/** The requests of the peer: runs their handlers, and sends what these answer. */
export class Responder implements PartsOwner {
  readonly handlers = new Map<Method, Handler>();
  /** Packets for requests that had their end before. */
  lateRequests = 0;
  /** Notifications that nobody was told: without a handler, broken, or too many at once. */
  refusedNotices = 0;
  readonly #arrivals: Arrivals<Served>;
  readonly #sender: Sender;
  readonly #reading: Reading;
  readonly #deadlines: Deadlines;
  readonly #pump: () => void;
  readonly #pop: () => void;
  readonly #maxRequests: number;
  readonly #timed: (served: Served) => void;
  readonly #owners = new Map<IncomingParts, Served>();
  #windowBytes = LEAST_WINDOW_BYTES;
  /** Whether what the peer sends is all of the time after it knew this incarnation. */
  #known = false;

  /** `pop` is called when a packet is read, before anybody acts on it; `timed` when a handler starts whose time is limited. */
  constructor(
    sender: Sender,
    reading: Reading,
    maxRequests: number,
    deadlines: Deadlines,
    pump: () => void,
    pop: () => void,
    timed: (served: Served) => void,
  ) {
    this.#sender = sender;
    this.#reading = reading;
    this.#arrivals = new Arrivals(maxRequests);
    this.#maxRequests = maxRequests;
    this.#deadlines = deadlines;
    this.#pump = pump;
    this.#pop = pop;
    this.#timed = timed;
  }

  /** Handlers that run, or wait for their values, or whose answers have not gone out. */
  get underWay(): number {
    return this.#arrivals.open;
  }

  /** Whether the peer does not read what it is told, and is to be read no more until it does. */
  get overloaded(): boolean {
    return this.#sender.owed > 2 * this.#maxRequests;
  }

  /** A hello of the peer has come. If it begins with that, all before it was of an incarnation that is gone. */
  greeted(hello: Hello, known: boolean): void {
    this.#known ||= known;
    this.#windowBytes = hello.windowBytes;
    if (!hello.begins) return;
    const gone = new TcpshmError('ERR_CLOSED', 'the process of the requester has ended');
    for (const served of this.#arrivals.peerBegan()) this.#drop(served, gone);
  }

  /** A request, or its first fragment. */
  open(header: PacketHeader, message: Message): void {
    const { id, flags } = header;
    const notice = (flags & Flag.notice) !== 0;
    const arrival = this.#arrivals.arrives(id);
    if (arrival === 'duplicate') {
      const served = this.#arrivals.find(id);
      const error = refusal('ERR_PROTOCOL', `the id ${id} was used before`);
      if (served === undefined) this.#refuse(id, notice, error);
      else this.#fail(served, error);
      return;
    }
    const handler = this.handlers.get(header.method);
    if (handler === undefined) {
      this.#refuse(id, notice, refusal('ERR_METHOD', `there is no handler for '${header.method}'`));
      return;
    }
    if (arrival === 'too many') {
      this.#refuse(id, notice, refusal('ERR_LIMIT', `more than ${this.#maxRequests} requests at once`));
      return;
    }
    const expects = notice ? 'nothing' : (flags & Flag.many) === 0 ? 'one' : 'many';
    const served = new Served(id, expects, header.level, handler);
    const plain = (flags & (WHOLE | Flag.deflated | Flag.bytes)) === WHOLE;
    if (!plain && !(flags & Flag.first)) {
      this.#refuse(id, notice, refusal('ERR_PROTOCOL', 'a request that begins with no value'));
      return;
    }
    this.#arrivals.add(id, served);
    if (!plain) {
      served.assembler = new Assembler(this.#reading);
      this.#take(served, header, message);
      return;
    }
    let value: unknown;
    try {
      value = decodeInPlace(this.#reading.codec, header, message);
    } catch (error) {
      this.#fail(served, error);
      return;
    }
    this.#run(served, value);
  }

  /** A further fragment. Gives what cannot be, if it is that. */
  data(header: PacketHeader, message: Message): string | null {
    const served = this.#find(header);
    if (served === null || typeof served === 'string') return served;
    this.#take(served, header, message);
    return null;
  }

  /** The requester gives up, with an error if its body has failed. */
  cancel(header: PacketHeader, payload: Uint8Array | null): null {
    const served = this.#arrivals.find(header.id);
    // It may be for an incarnation that is gone.
    if (served === undefined) return null;
    const reason =
      payload === null ? new TcpshmError('ERR_CLOSED', 'the requester has given up') : failureOf(payload);
    this.#end(served);
    this.#drop(served, reason);
    return null;
  }

  /** The peer takes more of an answer. */
  credit(header: PacketHeader): string | null {
    const served = this.#find(header);
    if (served === null || typeof served === 'string') return served;
    this.#sender.credited(served.flow, header.word);
    return null;
  }

  /** A handler had no answer in time. */
  expire(served: Served): void {
    this.#fail(served, new TcpshmError('ERR_TIMEOUT', 'the handler had no answer in time'));
  }

  close(error: TcpshmError): void {
    for (const served of this.#arrivals.all()) this.#drop(served, error);
  }

  taken(parts: IncomingParts): void {
    const served = this.#owners.get(parts);
    if (served !== undefined) this.#giveCredit(served);
  }

  left(parts: IncomingParts): void {
    this.#owners.delete(parts);
  }

  #take(served: Served, header: PacketHeader, message: Message): void {
    const assembler = served.assembler as Assembler;
    if (assembler === null) {
      this.#fail(served, refusal('ERR_PROTOCOL', 'a fragment behind the end of its flow'));
      return;
    }
    const { parts } = served;
    const wrong = assembler.take(header, message);
    if (wrong !== null) {
      this.#fail(served, wrong);
      return;
    }
    if (served.handler !== null) {
      if (assembler.complete) {
        assembler.flow.take(assembler.flow.completedCost);
        if (!assembler.flow.ended) {
          served.parts = new IncomingParts(assembler, this);
          this.#owners.set(served.parts, served);
        }
        this.#run(served, assembler.value);
      } else if (assembler.flow.ended) {
        this.#fail(served, refusal('ERR_PROTOCOL', 'a request without a value'));
      }
    } else if (parts !== null) {
      if (assembler.complete) parts.add(assembler.value, assembler.flow.completedCost);
      if (assembler.flow.ended) parts.end();
    }
    if (!served.over) this.#giveCredit(served);
  }

  #run(served: Served, value: unknown): void {
    const handler = served.handler as Handler;
    served.handler = null;
    this.#pop();
    let result: unknown;
    try {
      result = handler(value, served);
    } catch (error) {
      this.#fail(served, error);
      return;
    }
    if (isPromise(result)) {
      this.#timed(served);
      result.then(
        (answer) => this.#answer(served, answer),
        (error: unknown) => this.#fail(served, error),
      );
    } else {
      this.#answer(served, result);
    }
  }

  #answer(served: Served, value: unknown): void {
    if (served.over) {
      if (isParts(value)) abandon(value);
      return;
    }
    if (served.expects === 'nothing') {
      this.#finish(served);
      return;
    }
    if (isParts(value)) {
      this.#answerInParts(served, value);
      return;
    }
    let bytes: Uint8Array | null;
    try {
      bytes = this.#sender.answer(served.id, value);
    } catch (error) {
      this.#fail(served, error);
      return;
    }
    if (bytes === null) {
      this.#finish(served);
      return;
    }
    const flow = this.#flow(served);
    flow.bytes = bytes;
    flow.raw = value === undefined;
    flow.ends = true;
    flow.onSent = () => this.#finish(served);
    this.#sender.stir(flow);
    this.#pump();
  }

  #answerInParts(served: Served, values: AsyncIterable<unknown>): void {
    if (served.expects === 'one') {
      abandon(values);
      this.#fail(served, refusal('ERR_METHOD', 'it answers in parts, and one answer was expected'));
      return;
    }
    const flow = this.#flow(served);
    this.#timed(served);
    pour(values, flow, this.#sender, this.#pump).then(
      () => {
        if (served.over) return;
        if (flow.done) this.#finish(served);
        else flow.onSent = () => this.#finish(served);
      },
      (error: unknown) => this.#fail(served, error),
    );
  }

  #flow(served: Served): SentFlow {
    const flow = new SentFlow(true, served.level, this.#windowBytes);
    flow.id = served.id;
    served.flow = flow;
    return flow;
  }

  /** It is answered, and all of that has gone out. */
  #finish(served: Served): void {
    if (served.over) return;
    this.#end(served);
    served.over = true;
    // What of its body has not come is dropped when it does.
    served.parts?.end();
  }

  /** It ends with an error, of which the requester is told. */
  #fail(served: Served, error: unknown): void {
    if (served.over) return;
    this.#end(served);
    this.#refuse(served.id, served.expects === 'nothing', error);
    this.#drop(served, error);
  }

  #refuse(id: number, notice: boolean, error: unknown): void {
    if (notice) {
      this.refusedNotices++;
      return;
    }
    this.#sender.control(PacketKind.fail, Flag.answer, id, 0, failureBytes(error, FAILURE_BYTES));
  }

  /** Nobody waits for its answer any more. */
  #drop(served: Served, reason: unknown): void {
    if (served.slot >= 0) this.#deadlines.remove(served);
    if (served.parts !== null) this.#owners.delete(served.parts);
    served.assembler?.release();
    const { flow } = served;
    served.flow = null;
    this.#pop();
    served.abort(reason);
    if (flow !== null) this.#sender.giveUp(flow);
  }

  #end(served: Served): void {
    this.#arrivals.end(served.id);
    served.assembler?.release();
    if (served.slot >= 0) this.#deadlines.remove(served);
    if (served.parts !== null) this.#owners.delete(served.parts);
  }

  #giveCredit(served: Served): void {
    const { assembler } = served;
    if (assembler !== null && !served.over) {
      this.#sender.giveCredit(assembler.flow, Flag.answer, served.id);
    }
  }

  /** The request of a packet that is under way; null if it had its end, or its beginning was an incarnation's that is gone. */
  #find({ id }: PacketHeader): Served | string | null {
    const served = this.#arrivals.find(id);
    if (served !== undefined) return served;
    if (this.#known && !this.#arrivals.knew(id))
      return `a fragment of the request ${id}, which there was none`;
    this.lateRequests++;
    return null;
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

function abandon(values: AsyncIterable<unknown>): void {
  try {
    Promise.resolve(values[Symbol.asyncIterator]().return?.()).catch(() => {});
    (values as { destroy?: () => void }).destroy?.();
  } catch {
    // It has nobody to tell.
  }
}
