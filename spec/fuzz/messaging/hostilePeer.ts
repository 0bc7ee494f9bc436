import {
  Flag,
  type Hello,
  helloBytes,
  LEAST_REQUESTS,
  LEAST_WINDOW_BYTES,
  MethodName,
  PacketHeader,
  PacketKind,
  readHello,
  typeOf,
  WHOLE,
  writeHeader,
  writeHello,
} from '../../../lib/messaging/packet.js';
import type { Random } from '../../support/random.js';
import { extreme, randomBytes } from '../mutate.js';
import { require } from '../surface.js';
import { repeated, repeating, UNREADABLE } from './codec.js';
import { ToldFlow } from './flows.js';
import type { Line } from './line.js';

const METHODS = ['echo', 'hang', 'later', 'fail', 'nobody'].map((name) => new MethodName(name));
const NOBODY = METHODS.at(-1) as MethodName;
const REFUSALS = ['ERR_PROTOCOL', 'ERR_LIMIT', 'ERR_METHOD', 'ERR_CODEC', 'ERR_CLOSED', 'AS_ASKED'];
/** Of what is written at once, so that any message fits. */
const MOST_BYTES = 900;

/** What a packet says, to be looked at when it is taken. */
interface Said {
  readonly kind: number;
  readonly flags: number;
  readonly id: number;
  readonly text: string | null;
  /** Of a hello: whether it is of an incarnation that begins, and to the one that is here. */
  readonly begins: boolean;
  readonly known: boolean;
}

/** A peer that writes what it likes, and knows what that means by the rules. */
export class HostilePeer {
  /** Of its requests, and of its answers to those of the messenger, as far as they were taken. */
  readonly requests = new Map<number, ToldFlow>();
  readonly answers = new Map<number, ToldFlow>();
  /** Ids of which it was told the end: with an error, with an answer, or that nobody waits any more. */
  readonly over = new Set<number>();
  readonly cancelled = new Set<number>();
  readonly #line: Line;
  readonly #random: Random;
  readonly #said: Said[] = [];
  /** The last id that it has opened, in order; and what was taken. */
  #lastId = 0;
  #taken = 0;
  #tokens = 0;
  #known = false;
  /** What the messenger says that it is. */
  #messenger = 0;
  /** What the flow of its last fragment was. */
  #next = { id: 1, flags: 0 };

  constructor(line: Line, random: Random) {
    this.#line = line;
    this.#random = random;
    line.onFront = (n) => this.#note(this.#said[n]);
  }

  /** A request, most of the time as it should be. False where there is no room. */
  open(name = this.#random.pick(METHODS), wrong = true): boolean {
    const random = this.#random;
    const id = this.#newId(wrong);
    let flags: number = WHOLE;
    if (wrong && random.once(2))
      flags = random.once(4) ? random.below(256) : random.pick([1, 3, 65, 67, 71, 39]);
    const { bytes, text, size } = this.#payload(flags);
    if ((flags & Flag.deflated) === 0) flags &= ~Flag.deflated;
    const inflated = (flags & Flag.deflated) === 0 ? 0 : size || 1;
    const headerBytes = name.headerBytes + (inflated === 0 ? 0 : 8);
    const message = this.#line.peer.producer.claim(headerBytes + bytes.length);
    if (message === null) return false;
    message.type = typeOf(PacketKind.open, flags);
    message.set(bytes, headerBytes);
    name.write(message, id, random.below(4), inflated);
    this.#push({ kind: PacketKind.open, flags, id, text: inflated === size || inflated === 0 ? text : null });
    this.#next = { id, flags: 0 };
    return true;
  }

  /** A request that nothing is wrong with: its id and what it asks, to be answered with the same; null without room. */
  honest(): { readonly id: number; readonly text: string } | null {
    const name = METHODS[0] as MethodName;
    const text = `honest ${++this.#tokens}`;
    const message = this.#line.peer.producer.claim(name.headerBytes + text.length);
    if (message === null) return null;
    this.#lastId = this.#taken;
    const id = this.#newId(false);
    message.type = typeOf(PacketKind.open, WHOLE);
    message.set(Buffer.from(text, 'latin1'), name.headerBytes);
    name.write(message, id, 1);
    this.#push({ kind: PacketKind.open, flags: WHOLE, id, text });
    return { id, text };
  }

  /** A fragment of a request of its own, or of an answer: often of what goes on, as it should. */
  data(own: readonly number[]): boolean {
    const random = this.#random;
    const answers = own.length > 0 && random.once(2);
    const id = this.#anyId(answers ? own : [...this.requests.keys()]);
    const told = (answers ? this.answers : this.requests).get(id);
    const inside = told?.inside ?? false;
    let flags = random.once(6)
      ? random.below(256)
      : (inside ? 0 : Flag.first) | (random.once(2) ? Flag.last | (random.once(3) ? Flag.end : 0) : 0);
    if ((flags & Flag.first) !== 0 && (flags & Flag.last) !== 0 && random.once(4)) flags |= Flag.bytes;
    if (random.once(5)) flags |= Flag.deflated;
    flags = answers ? flags | Flag.answer : flags & ~Flag.answer;
    return this.#fragment(id, flags);
  }

  /** The last fragment's flow goes on in the same way, for so long: pieces of nothing, or of a little. */
  flood(count: number, take: () => void): void {
    const { id } = this.#next;
    const flags = this.#next.flags & Flag.answer;
    const first = this.#random.once(2) ? Flag.first | Flag.last : 0;
    for (let n = 0; n < count; n++) {
      if (!this.#write(PacketKind.data, flags | first, id, 0, NO_BYTES, '')) {
        take();
        if (!this.#write(PacketKind.data, flags | first, id, 0, NO_BYTES, '')) return;
      }
    }
  }

  /** Requests of what nobody answers, while it does not read what it is told. Gives how many there was room for. */
  ask(count: number, take: () => void): void {
    for (let n = 0; n < count; n++) {
      if (!this.open(NOBODY, false)) {
        take();
        if (!this.open(NOBODY, false)) return;
      }
    }
  }

  /** What else there is: credits, cancels, failures, hellos, raw bytes, and what is no packet. */
  other(own: readonly number[]): boolean {
    const random = this.#random;
    const answers = random.once(2);
    const id = this.#anyId(answers ? own : [...this.requests.keys()]);
    const flag = answers ? Flag.answer : 0;
    switch (random.below(8)) {
      case 0:
      case 1:
        return this.#write(
          PacketKind.credit,
          random.once(4) ? random.below(256) : flag ^ Flag.answer,
          id,
          extreme(random),
        );
      case 2:
        return this.#write(PacketKind.cancel, random.once(8) ? random.below(256) : 0, id, 0);
      case 3:
      case 4:
        return this.#write(
          PacketKind.fail,
          random.once(8) ? random.below(256) : flag,
          id,
          0,
          this.#failure(),
        );
      case 5:
        return this.hello(random.once(4));
      case 6:
        return this.#write(PacketKind.raw, random.below(4), 0, 0, randomBytes(random, random.below(9)));
      default: {
        if (!random.once(4)) return true;
        const message = this.#line.peer.producer.claim(random.below(60));
        if (message === null) return false;
        // One that is too short may be of any kind.
        const kind = message.size < 8 ? random.below(8) : random.between(8, 255);
        message.type = typeOf(kind, random.below(255) + 1);
        message.set(randomBytes(random, message.size));
        this.#push({ kind: -1, flags: 0, id: 0, text: null });
        return true;
      }
    }
  }

  hello(wrong: boolean): boolean {
    const random = this.#random;
    const odd = (): boolean => wrong && random.once(4);
    const hello: Hello = {
      incarnation: odd() ? random.next() : 7 + random.below(2),
      begins: random.once(3),
      popped: odd()
        ? random.pick([-1, 0.5, Number.NaN, 2 ** 53, 1e300])
        : random.below(this.#line.pushed + 2),
      windowBytes: odd() ? random.next() : LEAST_WINDOW_BYTES,
      requests: odd() ? random.next() : LEAST_REQUESTS,
      answering: random.once(4) ? random.next() : this.#messenger,
      compression: random.once(2) ? repeating.name : '',
    };
    const message = this.#line.peer.producer.claim(helloBytes(hello));
    if (message === null) return false;
    message.type = typeOf(PacketKind.hello, odd() ? random.below(256) : 0);
    writeHello(message, hello);
    if (odd()) message.setUint32(4 * random.below(8), extreme(random) >>> 0);
    // What of it counts, if it counts at all, is what is there now.
    const said = readHello(message);
    const known = typeof said !== 'string' && said.answering === this.#messenger;
    const begins = typeof said !== 'string' && said.begins;
    this.#push({ kind: PacketKind.hello, flags: 0, id: 0, text: null, begins, known });
    return true;
  }

  /** Reads what it is told, which must be in order in any case. Gives the text of the answer to `id`. */
  read(id = 0): string | null {
    const { consumer } = this.#line.peer;
    const header = HEADER;
    let answer: string | null = null;
    for (let message = consumer.front(); message !== null; message = consumer.front()) {
      const wrong = header.read(message);
      const { kind, flags, headerBytes } = header;
      require(wrong === null, () => `it was told ${wrong}`);
      const payload = message.bytes().subarray(headerBytes).toString('latin1');
      const toRequest = (flags & Flag.answer) !== 0;
      if (kind === PacketKind.hello) this.#messenger = header.id;
      else if (kind === PacketKind.fail) {
        if (toRequest) this.over.add(header.id);
        const { code } = JSON.parse(payload) as { code: string };
        require(REFUSALS.includes(code), () => `it was told ${payload}`);
      } else if (kind === PacketKind.cancel) this.cancelled.add(header.id);
      else if (kind === PacketKind.credit) require(header.word > 0, () => 'a credit of nothing');
      else if (kind === PacketKind.data && toRequest) {
        if (header.id === id) answer = payload;
        this.over.add(header.id);
      }
      consumer.pop();
    }
    return answer;
  }

  #newId(wrong: boolean): number {
    const random = this.#random;
    if (wrong && random.once(12))
      return random.pick([0, this.#lastId, this.#lastId - 1, random.next()]) >>> 0;
    const far = wrong && random.once(8);
    this.#lastId = (this.#lastId + (far ? random.pick([2, 64, 4096, 2 ** 30]) : 1)) >>> 0;
    return this.#lastId || this.#newId(wrong);
  }

  #anyId(ids: readonly number[]): number {
    const random = this.#random;
    if (ids.length === 0 || random.once(16)) return random.once(2) ? random.next() : random.below(9);
    return random.pick(ids);
  }

  #fragment(id: number, flags: number): boolean {
    const { bytes, text, size } = this.#payload(flags);
    const deflated = (flags & Flag.deflated) !== 0;
    const lies = deflated && this.#random.once(8);
    const word = deflated ? (lies ? extreme(this.#random) : size) : 0;
    this.#next = { id, flags };
    return this.#write(
      PacketKind.data,
      flags,
      id,
      word,
      bytes,
      deflated && word >>> 0 !== size ? null : text,
    );
  }

  /** Bytes of a fragment, with what they mean; null if that is nothing. */
  #payload(flags: number): {
    readonly bytes: Uint8Array;
    readonly text: string | null;
    readonly size: number;
  } {
    const random = this.#random;
    if ((flags & Flag.deflated) !== 0) {
      if (random.once(8)) return { bytes: randomBytes(random, 5), text: null, size: 5 };
      const count = random.once(6) ? random.pick([20_000, 65_535]) : 1 + random.below(300);
      const byte = 65 + random.below(26);
      return { bytes: repeated(count, byte), text: String.fromCharCode(byte).repeat(count), size: count };
    }
    if (random.once(16)) return { bytes: Uint8Array.of(UNREADABLE), text: '\xff', size: 1 };
    if (random.once(12)) return { bytes: NO_BYTES, text: '', size: 0 };
    const length = random.once(6) ? random.below(MOST_BYTES) : random.below(24);
    const text = `${++this.#tokens}.`.padEnd(length, 'x');
    return { bytes: Buffer.from(text, 'latin1'), text, size: text.length };
  }

  #failure(): Uint8Array {
    const random = this.#random;
    return Buffer.from(
      random.pick([
        '',
        '{',
        'null',
        '7',
        '[]',
        '{"name":7,"code":{}}',
        '{"name":"E","code":"X","message":"m"}',
      ]),
    );
  }

  #write(
    kind: number,
    flags: number,
    id: number,
    word: number,
    payload: Uint8Array = NO_BYTES,
    text: string | null = null,
  ): boolean {
    const message = this.#line.peer.producer.claim(8 + payload.length);
    if (message === null) return false;
    message.type = typeOf(kind, flags);
    writeHeader(message, id, word);
    message.set(payload, 8);
    this.#push({ kind, flags, id, text });
    return true;
  }

  #push(said: Omit<Said, 'begins' | 'known'> & Partial<Said>): void {
    this.#line.peer.producer.push();
    this.#said.push({ begins: false, known: false, ...said });
  }

  /** The messenger takes a packet: from now on, what it says may come out. */
  #note(said: Said | undefined): void {
    if (said === undefined) throw new Error('a message that nobody has sent');
    const { kind, flags, id, text } = said;
    if (kind === PacketKind.hello) {
      this.#known ||= said.known;
      if (!said.begins) return;
      this.requests.clear();
      this.over.clear();
      this.#taken = 0;
    } else if (kind === PacketKind.open) {
      const used = id === 0 || (this.#taken !== 0 && ((this.#taken - id) | 0) >= 0);
      if (used) {
        const told = this.requests.get(id);
        if (told !== undefined) told.broken = true;
        return;
      }
      this.#taken = id;
      // Of a notification nobody is told what becomes of it.
      if ((flags & Flag.notice) !== 0) this.over.add(id);
      const flow = new ToldFlow();
      this.requests.set(id, flow);
      flow.told(flags, text);
    } else if (kind === PacketKind.data) {
      const flows = (flags & Flag.answer) === 0 ? this.requests : this.answers;
      // To one that it does not know, it says nothing.
      if (flows === this.answers && !this.#known) return;
      if (flows === this.answers && !flows.has(id)) flows.set(id, new ToldFlow());
      flows.get(id)?.told(flags, text);
    }
  }
}

const NO_BYTES = new Uint8Array(0);
const HEADER = new PacketHeader();
