import { TcpshmError } from '../errors.js';
import type { Transport } from '../session/loginMessages.js';
import type { OpenSegment, Place } from '../store/openSegment.js';
import type { Link, LinkState } from '../wire/link.js';
import type { Tally } from './tally.js';

/** A connection on its way to another thread, as plain data: where its session is, and its link. */
export interface Handover {
  readonly transport: Transport;
  readonly place: Place;
  readonly client: string;
  readonly server: string;
  readonly sessionId: string;
  readonly loginData: Uint8Array;
  readonly protocolVersion: number;
  readonly link: LinkState;
  /** What was counted until now. */
  readonly tally: Tally;
}

/** What is handed over: a side and its link, with what is wrong with it. */
export interface Leaving {
  readonly transport: Transport;
  readonly open: OpenSegment;
  readonly loginData: Uint8Array;
  readonly protocolVersion: number;
  readonly link: Link;
  readonly violation: TcpshmError | null;
  readonly tally: Tally;
}

/** Gives up session and link. Throws ERR_OPTION when the session is kept in what no other thread can open, ERR_FILE. */
export function handOver(
  { transport, open, loginData, protocolVersion, link, violation, tally }: Leaving,
  now: number,
): Handover {
  const { client, server, sessionId } = open.segment.identity;
  const place = open.pass();
  if (place === null) {
    throw new TcpshmError('ERR_OPTION', `a session in ${open.where} cannot be handed to a thread`);
  }
  const state = violation === null ? link.handOver(now) : endedBy(violation);
  return { transport, place, client, server, sessionId, loginData, protocolVersion, link: state, tally };
}

function endedBy({ code, message }: TcpshmError): LinkState {
  return { kind: 'ended', reason: 'protocol violated', error: { code, message } };
}
