import { Topic } from '../diagnostics/channels.js';
import type { Subject } from '../diagnostics/events.js';
import { type ErrorCode, TcpshmError } from '../errors.js';
import type { Transfer } from '../memory/byteStream.js';
import { type Block, copyWords } from '../memory/copy.js';
import { RECORDS } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import type { DisconnectReason } from '../session/disconnect.js';
import { controlFrame, FrameHeader, FrameKind, FrameReader, type FrameSink } from '../session/frame.js';
import { Liveness, type LivenessOptions } from '../session/liveness.js';
import type { Replication } from '../session/replication.js';
import { isHeartbeat, RoundTrip } from '../session/roundTrip.js';
import { receiveInto, receiverOf } from './inbox.js';
import type { Link, LinkState, LinkTraffic } from './link.js';
import { brokenWire } from './nativeWire.js';
import type { Wire } from './wire.js';

/** After the first push since a poll, which goes out at once, pushes wait for the next poll or for so much to gather. */
const GATHER_BYTES = 32_768;

/**
 * Where a short frame is put together, to be sent as one range: a copy of some words costs less than handing two more
 * ranges to the kernel, which takes 170 ns (of 1250; benchmark rtt/tcp).
 */
const SHORT_FRAME_BYTES = 512;
const outbox: Block = (() => {
  const buffer = new ArrayBuffer(SHORT_FRAME_BYTES);
  return { words: new Int32Array(buffer), bytes: new Uint8Array(buffer) };
})();

const NOWHERE: FrameSink = { dataBegins() {}, dataArrives() {}, dataEnds() {}, control() {} };
const GOODBYE = controlFrame(FrameKind.goodbye, new Uint8Array(0));

const SENT = new Topic('tcpshm:sent');
const RECEIVED = new Topic('tcpshm:received');

/**
 * A link over a wire: heartbeats, goodbye, and with a replication the rings themselves. The thin shell around
 * replication, frames and liveness.
 */
export class WireLink implements Link, FrameSink, LinkTraffic {
  readonly #wire: Wire;
  readonly #receive: Transfer;
  /** Sends out of `outbox`. */
  readonly #sendShort: Transfer;
  readonly #liveness: Liveness;
  readonly #roundTrip: RoundTrip;
  readonly #replication: Replication | null;
  readonly #outgoing: RingMemory | null;
  readonly #reader: FrameReader;
  /** Called when something is to be sent that only a poll will send; for who does not poll now. */
  onStir: (() => void) | null = null;
  /** Whether the last poll received something, be it a part of a message; heartbeats are nothing. */
  received = false;
  owner: Subject | null = null;
  /** What went over the wire. */
  #sentBytes = 0;
  #receivedBytes = 0;
  /** The time of the poll that is under way, or of the last one; NaN before the first. */
  #now = Number.NaN;
  /** Of the data frame that is arriving, if it has no payload: the word of a heartbeat, perhaps. */
  #word = 0;
  /** What the peer has acknowledged. */
  #acknowledged = 0;
  #ended: DisconnectReason | null = null;
  #error: TcpshmError | null = null;
  /** Why the wire takes nothing any more. What the peer has said before, its goodbye perhaps, is still to be read. */
  #failure: TcpshmError | null = null;
  /** Whether nothing was pushed since the last poll: then a push is sent at once. */
  #eager = true;

  /**
   * Takes over a wire and its reader after a login, in the middle of a block even, or from another link, on which
   * nothing had come for `silentMs`, and whose last heartbeat was that of this number. With `replication`, `outgoing` is
   * the ring that it sends.
   */
  constructor(
    wire: Wire,
    reader: FrameReader,
    options: LivenessOptions,
    replication: Replication | null,
    outgoing: RingMemory | null,
    silentMs: number | null = null,
    heartbeat = 0,
  ) {
    // Without a replication there are heartbeats only.
    const often = replication !== null;
    const send: Transfer = (start, length) => wire.send(outbox.bytes, start, length);
    this.#wire = wire;
    this.#receive = receiverOf(wire, often);
    this.#sendShort = (often ? wire.sender?.(outbox.bytes) : undefined) ?? send;
    this.#reader = reader;
    reader.sink = this;
    this.#liveness = new Liveness(options, silentMs);
    this.#roundTrip = new RoundTrip(options.heartbeatIntervalMs, heartbeat);
    this.#replication = replication;
    this.#outgoing = outgoing;
  }

  get connected(): boolean {
    return this.#ended === null;
  }
  get ended(): DisconnectReason | null {
    return this.#ended;
  }
  get wire(): Wire {
    return this.#wire;
  }
  get traffic(): LinkTraffic {
    return this;
  }
  get sentBytes(): number {
    return this.#sentBytes;
  }
  get receivedBytes(): number {
    return this.#receivedBytes;
  }
  get roundTripMs(): number | null {
    return this.#roundTrip.lastMs;
  }
  get smoothedRoundTripMs(): number | null {
    return this.#roundTrip.smoothedMs;
  }
  /** Whether something is to be sent that the wire did not take yet. */
  get sending(): boolean {
    const replication = this.#replication;
    return replication !== null && (replication.sending || replication.unsent > 0);
  }
  /** Whether some more polls are needed to acknowledge what was popped. */
  get owes(): boolean {
    return this.#replication?.owes ?? false;
  }
  get error(): TcpshmError | null {
    return this.#error;
  }

  /** Something was published in the outgoing ring. Never throws: what goes wrong shows at the next poll. */
  pushed(): void {
    if (this.#ended !== null) return;
    if (this.#eager || (this.#replication as Replication).unsent >= GATHER_BYTES) {
      this.#eager = false;
      this.#send(false);
    }
    if (this.onStir !== null && (this.sending || (this.#replication as Replication).unsafe)) this.onStir();
  }

  /** Something was popped: polls will acknowledge it. */
  popped(): void {
    if (this.onStir !== null && this.#ended === null) this.onStir();
  }

  poll(now: number): void {
    if (this.#ended !== null) return;
    this.#eager = true;
    this.received = false;
    this.#now = now;
    try {
      const count = receiveInto(this.#reader, this.#receive);
      if (count > 0) this.#arrived(count);
      if (this.#ended !== null) return;
      this.#replication?.settle(count <= 0);
      if (count > 0) {
        this.#liveness.received(now);
      } else if (count < 0) {
        if (this.#failure === null || this.#replication === null) this.#end('peer ended', null);
        else this.#end('network failed', this.#failure);
        return;
      } else {
        this.#replication?.idle();
      }
      const health = this.#liveness.check(now);
      // What has arrived counts, although this side was blocked for so long that it comes late.
      if (count === 0 && health === 'timed out' && this.#wire.drained?.() !== false) {
        this.#end('timed out', null);
        return;
      }
      // Also one that has sent something else all the time sends heartbeats, to have them answered.
      if (this.#send(this.#roundTrip.due(now) || health === 'heartbeat due')) this.#liveness.sent(now);
    } catch (cause) {
      if (cause instanceof TcpshmError) this.#end('protocol violated', cause);
      // Beside shared memory the peer is on this host: its kernel resets the socket of a process that has not read all.
      else if (this.#replication === null && (cause as { code?: unknown }).code === 'ECONNRESET')
        this.#end('peer ended', null);
      else this.#end('network failed', brokenWire(this.#wire, cause));
    }
  }

  close(): void {
    if (this.#ended !== null) return;
    this.#ended = 'closed by peer';
    this.#send(false);
    try {
      // Only between frames: in the middle of one, the end of the stream must say it.
      if (this.#replication === null || !this.#replication.sending)
        this.#wire.send(GOODBYE, 0, GOODBYE.length);
    } catch {
      // The wire is broken, so the peer knows, or will by its timeout.
    }
    this.#wire.close();
  }

  abandon(): void {
    this.#end('closed by peer', null);
  }

  handOver(now: number): LinkState {
    const { ended, error } = this;
    if (ended !== null) return { kind: 'ended', reason: ended, error: error && plain(error) };
    const release = this.#wire.release;
    if (release === undefined) throw new TcpshmError('ERR_SYSTEM', 'this wire cannot be handed to a thread');
    const state: LinkState = {
      kind: 'wire',
      reader: this.#reader.state,
      replication: this.#replication?.state ?? null,
      silentMs: this.#liveness.silence(now),
      heartbeat: this.#roundTrip.number,
      descriptor: release.call(this.#wire),
    };
    this.#ended = 'moved';
    this.#reader.sink = NOWHERE;
    return state;
  }

  /** Sends what is to be sent, as far as the wire takes it. True if it took anything. */
  #send(heartbeat: boolean): boolean {
    if (this.#failure !== null) return false;
    try {
      return this.#sendFrames(heartbeat);
    } catch (cause) {
      this.#failure = brokenWire(this.#wire, cause);
      return false;
    }
  }

  #sendFrames(heartbeat: boolean): boolean {
    const replication = this.#replication;
    if (replication === null) return heartbeat && this.#sendHeartbeat();
    // Between frames only: where one is on its way, the wire is full.
    let word = heartbeat && !replication.sending ? this.#roundTrip.word(this.#now) : 0;
    let frames = 0;
    let bytes = 0;
    while (replication.prepare(word)) {
      const count = this.#sendFrame(replication, this.#outgoing as RingMemory);
      if (count === 0) break;
      if (word !== 0) this.#roundTrip.sent(this.#now);
      word = 0;
      frames++;
      bytes += count;
      replication.sent(count);
      if (replication.sending) break;
    }
    if (frames !== 0) this.#went(frames, bytes);
    return frames !== 0;
  }

  /** Beside shared memory, where nothing else is sent. */
  #sendHeartbeat(): boolean {
    const { bytes } = heartbeatFrame(this.#roundTrip.word(this.#now));
    const count = this.#wire.send(bytes, 0, bytes.length);
    if (count === 0) return false;
    this.#roundTrip.sent(this.#now);
    this.#went(1, count);
    return true;
  }

  #went(frames: number, bytes: number): void {
    this.#sentBytes += bytes;
    if (SENT.listened && this.owner !== null) SENT.tell({ connection: this.owner, frames, bytes });
  }

  #arrived(bytes: number): void {
    this.#receivedBytes += bytes;
    if (RECEIVED.listened && this.owner !== null) RECEIVED.tell({ connection: this.owner, bytes });
  }

  /** Sends what is left of the current frame, and returns how much of it the wire took. */
  #sendFrame(replication: Replication, ring: RingMemory): number {
    const { header, headerStart, firstStart, firstLength, secondLength } = replication;
    const length = header.bytes.length + firstLength;
    if (headerStart === 0 && secondLength === 0 && length <= SHORT_FRAME_BYTES) {
      copyWords(header, 0, outbox, 0, header.bytes.length);
      copyWords(ring, firstStart, outbox, header.bytes.length, firstLength);
      return this.#sendShort(0, length);
    }
    return this.#wire.send(
      header.bytes,
      headerStart,
      header.bytes.length - headerStart,
      ring.bytes,
      firstStart,
      firstLength,
      ring.bytes,
      RECORDS,
      secondLength,
    );
  }

  #end(reason: DisconnectReason, error: TcpshmError | null): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#error = error;
    // What comes behind the end, in the same block even, goes nowhere.
    this.#reader.sink = NOWHERE;
    this.#wire.close();
  }

  dataBegins(position: number, length: number): void {
    this.#word = length === 0 ? position : 0;
    if (this.#replication !== null) this.#replication.dataBegins(position, length);
    else if (length !== 0) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `expected no data on the control connection of a shared segment, got ${length} bytes`,
      );
    }
  }

  dataArrives(block: Block, start: number, length: number): void {
    this.received = true;
    this.#replication?.dataArrives(block, start, length);
  }

  dataEnds(acknowledged: number, acknowledgedSequence: number): void {
    if (acknowledged !== this.#acknowledged) this.received = true;
    this.#acknowledged = acknowledged;
    if (this.#word !== 0) {
      this.#roundTrip.received(this.#word, this.#now);
      if (isHeartbeat(this.#word) && !this.#liveness.heartbeat(this.#now)) {
        this.#end('too many heartbeats', null);
        return;
      }
    }
    this.#replication?.dataEnds(acknowledged, acknowledgedSequence);
  }

  control(kind: FrameKind): void {
    if (kind !== FrameKind.goodbye) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `expected data or a goodbye after the login, got a frame of kind ${kind}`,
      );
    }
    this.#end('closed by peer', null);
  }
}

/** Goes on where a link of another thread was, over its wire: whatever was in the middle. */
export function resumeLink(
  wire: Wire,
  { reader, silentMs, heartbeat }: Extract<LinkState, { readonly kind: 'wire' }>,
  options: LivenessOptions,
  replication: Replication | null,
  outgoing: RingMemory | null,
): WireLink {
  const frames = new FrameReader(NOWHERE, reader);
  return new WireLink(wire, frames, options, replication, outgoing, silentMs, heartbeat);
}

function heartbeatFrame(word: number): FrameHeader {
  const header = new FrameHeader();
  header.fill(FrameKind.data, 0, word, 0, 0);
  header.seal();
  return header;
}

function plain({ code, message }: TcpshmError): { readonly code: ErrorCode; readonly message: string } {
  return { code, message };
}
