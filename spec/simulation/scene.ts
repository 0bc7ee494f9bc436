import type { DisconnectReason } from '../../lib/session/disconnect.js';
import type { Role } from '../../lib/session/names.js';
import type { Capacities } from '../../lib/session/segment.js';
import type { Random } from '../support/random.js';
import { isDying } from './crash.js';
import type { Endpoint, Trace } from './endpoint.js';
import type { Lib } from './instrumented.js';
import { Violation } from './model.js';
import { Network, type SimulatedWire } from './network.js';

/** Simulated milliseconds. */
export const TIMING = { heartbeatIntervalMs: 25, connectionTimeoutMs: 100 };
export const LOGIN_TIMEOUT_MS = 150;

/** What may go wrong in a login: a broken stream, and a peer that has not noticed the end of the last one. */
const USUAL = ['ERR_CONNECT', 'ERR_ALREADY_CONNECTED', 'ERR_LOGIN_TIMEOUT'];

/** What two processes have around them: clock, network, and somebody who knows which errors there may be. */
export class Scene {
  readonly lib: Lib;
  readonly random: Random;
  readonly trace: Trace;
  readonly network: Network;
  readonly sizes: Capacities;
  /** Which sides have a journal on a disk, which outlives the loss of power. */
  readonly disks: Readonly<Record<Role, boolean>>;
  /** Where the rings of the session begin. */
  readonly start: number;
  /** The server's ends of streams that it has not accepted yet. */
  readonly waiting: SimulatedWire[] = [];
  now = 0;
  /** What was found where it could not be thrown: lib would have taken it for an error of its user or peer. */
  #violation: Violation | null = null;

  constructor(
    lib: Lib,
    random: Random,
    trace: Trace,
    sizes: Capacities,
    disks: Readonly<Record<Role, boolean>>,
    start: number,
  ) {
    this.lib = lib;
    this.random = random;
    this.trace = trace;
    this.network = new Network(random);
    this.sizes = sizes;
    this.disks = disks;
    this.start = start;
  }

  newSessionId(): string {
    return (
      this.random.next().toString(16).padStart(8, '0') + this.random.next().toString(16).padStart(8, '0')
    );
  }

  violated(what: string): never {
    this.#violation ??= new Violation(what);
    throw this.#violation;
  }

  /** Throws what was found wrong within calls of lib. */
  rethrow(): void {
    if (this.#violation !== null) throw this.#violation;
  }

  /** Runs what checks within a call of lib. */
  checking(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof Violation) this.#violation ??= error;
      throw error;
    }
  }

  /** A link has ended. */
  ended(endpoint: Endpoint, reason: DisconnectReason, error: Error | null): void {
    this.trace?.(`${endpoint.name}: ${reason}${error === null ? '' : `: ${error.message}`}`);
    if (reason === 'protocol violated' && !this.network.garbled) {
      this.violated(`${endpoint.name} takes its peer for a liar: ${error?.message}`);
    }
  }

  /** A login has failed. */
  failed(endpoint: Endpoint, error: unknown): void {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    this.trace?.(`${endpoint.name}: the login failed: ${message}`);
    if (error instanceof Violation) this.violated(message);
    const usual = code === undefined ? false : USUAL.includes(code);
    const broken = (code === undefined || code === 'ERR_SYSTEM') && message.includes('simulated');
    const excused = this.network.garbled && code !== 'ERR_SEQUENCE_MISMATCH' && code !== undefined;
    if (!usual && !broken && !excused) {
      this.violated(`${endpoint.name} fails to log in: ${code} ${(error as Error).stack}`);
    }
  }

  /** A side deletes the session: it must be one in which nothing has ever happened. */
  removed(endpoint: Endpoint): void {
    if (isDying()) return;
    this.trace?.(`${endpoint.name}: removes the session`);
    const { outgoing, incoming } = endpoint;
    if (!outgoing.untouched || !incoming.untouched) this.violated(`${endpoint.name} deletes messages`);
  }
}
