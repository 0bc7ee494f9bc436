import {
  alignedLength,
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
} from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import type { Role } from '../../lib/session/names.js';
import { type Identity, type Segment, segmentBytes } from '../../lib/session/segment.js';
import { canBothBeTrue, type Point, type SideState } from '../../lib/session/state.js';
import { NEVER_MOVES, type OpenSegment } from '../../lib/store/openSegment.js';
import type { Lib } from './instrumented.js';
import { type Direction, must } from './model.js';

export const CLIENT = 'alice';
export const SERVER = 'bob';

/** Memory that both sides share, which outlives the processes that use it. Its rings begin at position `start`. */
export function newSegment(
  lib: Lib,
  identity: Pick<Identity, 'sessionId' | 'clientToServer' | 'serverToClient'>,
  start: number,
): Segment {
  const whole = { ...identity, client: CLIENT, server: SERVER, bootId: '', journal: false };
  const segment = new lib.Segment(new ArrayBuffer(segmentBytes(whole)), whole);
  placeRings(segment, start);
  return segment;
}

/** Has the rings of a new segment begin at position `start`. */
export function placeRings({ clientToServer, serverToClient }: Segment, start: number): void {
  for (const { words } of [clientToServer, serverToClient]) {
    words[RECLAIMED] = start;
    words[CONSUMED] = start;
    words[COMMIT_POSITION[0]] = start;
    words[COMMIT_POSITION[1]] = start;
  }
}

/** One side of shared memory, opened. */
export function openShared(segment: Segment, role: Role): OpenSegment {
  return {
    segment,
    role,
    journal: null,
    where: 'simulated memory',
    begun: false,
    lost: false,
    ...NEVER_MOVES,
    close() {},
    remove() {},
    pass: () => null,
    setAside: () => null,
  };
}

/**
 * What a ring holds, for whoever would have to go on with it: what was popped and what was pushed. Says the same as
 * recovery.ts of lib, in other words.
 */
function readRing({ words, sequences, mask, capacity }: RingMemory): [popped: Point, pushed: Point] {
  const consumed = words[CONSUMED] as number;
  const popped = sequences[COMMIT_SEQUENCE[words[COMMIT_POSITION[0]] === consumed ? 0 : 1]] as number;
  let position = consumed;
  let pushed = popped;
  for (let left = capacity; left > 0; ) {
    const header = (RECORDS + (position & mask)) >> 2;
    const size = words[header] as number;
    if (size === 0) break;
    must(size >= 8 && size <= left, () => `a record of ${size} bytes, where ${left} can be`);
    if (words[header + 1] !== PADDING_KIND) pushed++;
    position = (position + alignedLength(size)) | 0;
    left -= alignedLength(size);
  }
  return [
    { position: consumed >>> 0, sequence: popped },
    { position: position >>> 0, sequence: pushed },
  ];
}

/** What a side would find if it had to go on with its memory. */
export function readState(segment: Segment, role: Role): SideState {
  const [acknowledged, pushed] = readRing(segment.outgoing(role));
  const [popped, received] = readRing(segment.incoming(role));
  return { acknowledged, pushed, popped, received };
}

/** Whether a side has heard that the other one has popped all that was pushed. */
export function isAcknowledged(journal: Segment, role: Role): boolean {
  const { acknowledged, pushed } = readState(journal, role);
  return acknowledged.sequence === pushed.sequence;
}

/** Whether nothing is left of any record: all of them were consumed, and cleared. */
export function isClear(segment: Segment): boolean {
  return isZero(segment.clientToServer) && isZero(segment.serverToClient);
}

function isZero({ sequences }: RingMemory): boolean {
  for (let i = RECORDS >> 3; i < sequences.length; i++) if (sequences[i] !== 0) return false;
  return true;
}

/**
 * Checks what both sides would find if they had to go on with their journals from here. What the other side has got
 * or heard must outlive the loss of power.
 */
export function judgeJournals(
  client: Segment | null,
  server: Segment | null,
  toServer: Direction,
  toClient: Direction,
): void {
  const a = client === null ? null : readState(client, 'client');
  const b = server === null ? null : readState(server, 'server');
  if (a !== null && b !== null && client?.identity.sessionId === server?.identity.sessionId) {
    const { clientToServer, serverToClient } = (client as Segment).identity;
    must(
      canBothBeTrue(a, b, clientToServer, serverToClient),
      () => `both sides cannot be true: ${JSON.stringify({ client: a, server: b })}`,
    );
  } else if (a !== null && b !== null) {
    must(toServer.untouched && toClient.untouched, () => 'the sides have different sessions, after messages');
  }
  if (a !== null) {
    toServer.seenPushed(a.pushed.sequence);
    toClient.seenPopped(a.popped.sequence);
    toClient.pushesAreSafe(a.received.sequence);
    toServer.popsAreSafe(a.acknowledged.sequence);
  }
  if (b !== null) {
    toClient.seenPushed(b.pushed.sequence);
    toServer.seenPopped(b.popped.sequence);
    toServer.pushesAreSafe(b.received.sequence);
    toClient.popsAreSafe(b.acknowledged.sequence);
  }
}

/** The same for memory that both sides share. */
export function judgeShared(segment: Segment, toServer: Direction, toClient: Direction): void {
  const client = readState(segment, 'client');
  toServer.seenPushed(client.pushed.sequence);
  toServer.seenPopped(client.acknowledged.sequence);
  toClient.seenPushed(client.received.sequence);
  toClient.seenPopped(client.popped.sequence);
}
