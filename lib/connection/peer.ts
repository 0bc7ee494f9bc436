import { Topic } from '../diagnostics/channels.js';
import type { Subject } from '../diagnostics/events.js';
import type { TcpshmError } from '../errors.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { LivenessOptions } from '../session/liveness.js';
import type { SideState } from '../session/state.js';
import type { Conversation } from '../wire/conversation.js';
import type { Link, LinkState, LinkTraffic } from '../wire/link.js';
import type { Wire } from '../wire/wire.js';
import { resumeLink, WireLink } from '../wire/wireLink.js';
import type { Copies } from './copies.js';
import type { Ends } from './ends.js';
import { Idle } from './idle.js';
import type { Measures } from './measures.js';

const CONNECTED = new Topic('tcpshm:connected');

/** What a side has of its peer: the link, from each login to its end, and what came with the login. */
export class Peer {
  /** What the peer sent along with the last login. */
  loginData: Uint8Array = new Uint8Array(0);
  /** Of the user's protocol, as the last login has agreed on it; 0 where one side said nothing. */
  protocolVersion = 0;
  /** For how many milliseconds it may be connected without a message. */
  idleTimeoutMs = Number.POSITIVE_INFINITY;
  readonly #idle = new Idle();
  readonly #connection: Subject;
  readonly #ends: Ends;
  readonly #measures: Measures;
  /** Over tcp. */
  readonly #copies: Copies | null;
  #link: Link | null = null;
  #kept = false;

  constructor(connection: Subject, ends: Ends, measures: Measures, copies: Copies | null) {
    this.#connection = connection;
    this.#ends = ends;
    this.#measures = measures;
    this.#copies = copies;
  }

  /** Null before a login, and once it was told that the link has ended. */
  get link(): Link | null {
    return this.#link;
  }

  get connected(): boolean {
    return this.#link?.connected === true;
  }

  get traffic(): LinkTraffic | null {
    return this.#link?.traffic ?? null;
  }

  /** The peer may take the login for complete from here on, so the session stays, whatever becomes of the login here. */
  keep(): void {
    this.#kept = true;
  }

  /** Whether the session stays: if not, it is not certain yet that the peer has it. */
  get kept(): boolean {
    return this.#kept;
  }

  /** Shared memory: a link that tells of the peer. `moved` where it is that of a login in another thread. */
  attach(link: Link, loginData: Uint8Array, moved = false): void {
    this.#kept = true;
    this.#link = link;
    this.#idle.begin(this.idleTimeoutMs);
    this.loginData = loginData;
    const resumed = this.#measures.attached(moved);
    const connection = this.#connection;
    if (link.traffic !== null) link.traffic.owner = connection;
    if (CONNECTED.listened) {
      const { role, segment } = this.#ends.open;
      CONNECTED.tell({ connection, role, sessionId: segment.identity.sessionId, resumed, moved });
    }
  }

  /** A shared segment whose liveness is told over a wire. */
  attachShared({ wire, reader }: Conversation, options: LivenessOptions, loginData: Uint8Array): void {
    this.attach(new WireLink(wire, reader, options, null, null), loginData);
  }

  /** Two copies: a link that keeps them equal, from where the peer has them. */
  attachReplicated(
    { wire, reader }: Conversation,
    options: LivenessOptions,
    peer: SideState,
    loginData: Uint8Array,
  ): void {
    const copies = this.#copies as Copies;
    this.#ends.pump = new WireLink(wire, reader, options, copies.begin(peer), copies.outgoing);
    this.attach(this.#ends.pump, loginData);
  }

  /** The link of another thread's connection, over its wire: goes on there, whatever was in the middle. */
  resume(
    wire: Wire,
    state: Extract<LinkState, { readonly kind: 'wire' }>,
    options: LivenessOptions,
    loginData: Uint8Array,
  ): void {
    if (state.replication === null) {
      this.attach(resumeLink(wire, state, options, null, null), loginData, true);
      return;
    }
    const copies = this.#copies as Copies;
    this.#ends.pump = resumeLink(wire, state, options, copies.resume(state.replication), copies.outgoing);
    this.attach(this.#ends.pump, loginData, true);
  }

  /** Lets the link work. False once it has ended, for good: then `whyEnded` tells why. */
  poll(now: number): boolean {
    const link = this.#link;
    const ends = this.#ends;
    const flusher = this.#copies?.flusher ?? null;
    flusher?.poll();
    if (link === null) return true;
    if (flusher !== null && flusher.failure !== null) return false;
    if (ends.violation !== null) return false;
    if (link.ended === null) link.poll(now);
    ends.producer.sample();
    return link.ended === null && !this.#idle.check(now, ends.producer.pushed + ends.consumer.popped);
  }

  whyEnded(): { readonly reason: DisconnectReason; readonly error: TcpshmError | null } {
    const { violation } = this.#ends;
    const link = this.#link;
    const failure = this.#copies?.flusher?.failure ?? null;
    const idle = this.#idle.over && failure === null ? 'idle' : null;
    const ended = link?.ended ?? idle ?? (failure === null ? 'protocol violated' : 'journal failed');
    const reason = violation === null ? ended : 'protocol violated';
    return { reason, error: violation ?? link?.error ?? failure };
  }

  /** Forgets the link: closed, which tells the peer, abandoned without a word, or kept by who has it from here on. */
  leave(how: 'close' | 'abandon' | 'keep'): void {
    if (how === 'close') this.#link?.close();
    else if (how === 'abandon') this.#link?.abandon();
    this.#measures.left(this.traffic);
    this.#link = null;
    this.#ends.pump = null;
  }
}
