import type { DurabilityLevel } from './durability.js';
import type { Hello, Reject, Transport, Welcome } from './loginMessages.js';
import { agreeVersion, type ProtocolRange, showProtocol } from './protocol.js';
import type { Capacities } from './segment.js';
import { canBothBeTrue, isFresh, type SideState } from './state.js';

/** What a server brings into a login, apart from the session. */
export interface ServerTerms {
  readonly name: string;
  /** How the client came: threads of one process share memory, sockets may or may not. */
  readonly overThreads: boolean;
  /** Empty where segments cannot be shared between processes. */
  readonly bootId: string;
  readonly durability: DurabilityLevel;
  readonly heartbeatIntervalMs: number;
  readonly connectionTimeoutMs: number;
  readonly idleTimeoutMs?: number;
  readonly maxHeartbeats?: number;
  /** The largest capacity that a client may choose, where the server does not care. */
  readonly maxCapacityBytes: number;
  /** How the server writes its messages, 'name@version'; empty where it does not say. */
  readonly codec: string;
  /** What the user's programs speak; no name where it does not say. */
  readonly protocol: ProtocolRange;
  /** From the server's point of view; 0 where it does not care. */
  readonly sendCapacityBytes: Readonly<Record<Transport, number>>;
  readonly receiveCapacityBytes: Readonly<Record<Transport, number>>;
}

/** What both sides agreed on. A capacity is 0 where neither cares. */
export interface Agreement extends Capacities {
  readonly transport: Transport;
  /** Of the user's protocol; 0 where one side said nothing. */
  readonly protocolVersion: number;
}

/** Decides whether and on what terms a client can be served. */
export function agree(hello: Hello, terms: ServerTerms): Agreement | Reject {
  if (hello.server !== '' && hello.server !== terms.name) {
    return reject(
      'ERR_LOGIN_REJECTED',
      `the client wants the server '${hello.server}', this is '${terms.name}'`,
    );
  }
  if (!speakAlike(hello.codec, terms.codec)) {
    return reject(
      'ERR_CODEC',
      `both sides must write their messages alike: the client with '${hello.codec}', the server with '${terms.codec}'`,
    );
  }
  const protocolVersion = agreeVersion(hello.protocol, terms.protocol);
  if (protocolVersion === null) {
    return reject(
      'ERR_PROTOCOL_VERSION',
      'both sides must speak a version of one protocol:' +
        ` the client speaks ${showProtocol(hello.protocol)}, the server ${showProtocol(terms.protocol)}`,
    );
  }
  const transport = agreeTransport(hello, terms);
  if (typeof transport !== 'string') return transport;
  for (const [who, interval, other, timeout] of [
    ["client's", hello.heartbeatIntervalMs, "server's", terms.connectionTimeoutMs],
    ["server's", terms.heartbeatIntervalMs, "client's", hello.connectionTimeoutMs],
  ] as const) {
    if (interval >= timeout) {
      return reject(
        'ERR_OPTION',
        `the ${who} heartbeatIntervalMs (${interval}) must be less than the ${other} connectionTimeoutMs (${timeout})`,
      );
    }
  }
  const wanted = transport === 'tcp' ? hello.overTcp : hello;
  const toServer = agreeCapacity(
    'client to server',
    wanted.clientToServer,
    terms.receiveCapacityBytes[transport],
    terms.maxCapacityBytes,
  );
  if (typeof toServer !== 'number') return toServer;
  const toClient = agreeCapacity(
    'server to client',
    wanted.serverToClient,
    terms.sendCapacityBytes[transport],
    terms.maxCapacityBytes,
  );
  if (typeof toClient !== 'number') return toClient;
  return { transport, clientToServer: toServer, serverToClient: toClient, protocolVersion };
}

/** Whether sides with these codecs read each other. One that does not say is believed to know what it does. */
export function speakAlike(one: string, other: string): boolean {
  return one === '' || other === '' || one === other;
}

function agreeTransport(hello: Hello, terms: ServerTerms): Transport | Reject {
  const { transport } = hello;
  if (terms.durability === 'disk') {
    if (!terms.overThreads && (transport === 'tcp' || transport === 'auto')) return 'tcp';
    return reject('ERR_OPTION', memoryOnDisk('server', transport === 'auto' ? 'inproc' : transport));
  }
  if (terms.overThreads || transport === 'inproc') {
    if (terms.overThreads && transport === 'inproc') return 'inproc';
    return reject(
      'ERR_OPTION',
      "transport 'inproc' goes with a server of the same process, found by its name",
    );
  }
  if (transport === 'tcp') return 'tcp';
  const sameHost = terms.bootId !== '' && terms.bootId === hello.bootId;
  if (sameHost) return 'shm';
  if (transport === 'auto') return 'tcp';
  return reject(
    terms.bootId === '' || hello.bootId === '' ? 'ERR_NATIVE_MISSING' : 'ERR_OPTION',
    "transport 'shm' needs client and server on one host, both with the native module:" +
      ` boot id of the client '${hello.bootId}', of the server '${terms.bootId}'`,
  );
}

function agreeCapacity(direction: string, clients: number, servers: number, most: number): number | Reject {
  if (clients !== 0 && servers !== 0 && clients !== servers) {
    return reject(
      'ERR_CAPACITY',
      `both sides must agree on the capacity from ${direction}: the client wants ${clients} bytes, the server ${servers}`,
    );
  }
  if (servers === 0 && clients > most) {
    return reject(
      'ERR_CAPACITY',
      `the server lets clients choose up to ${most} bytes from ${direction} (maxCapacityBytes), wanted are ${clients}`,
    );
  }
  return clients || servers;
}

function reject(code: Reject['code'], reason: string): Reject {
  return { code, reason };
}

/** Why a transport and a level of durability do not go together. */
export function memoryOnDisk(whose: 'client' | 'server', transport: Transport): string {
  return (
    `transport '${transport}' is memory, which does not survive the loss of power as the ${whose}'s durability` +
    " 'disk' asks for: use 'tcp', or 'process'"
  );
}

/**
 * What a client does about the session that the server offers, given the one of its own journal: go on with it,
 * begin it anew in place of one in which nothing ever happened, or refuse because both cannot be true.
 */
export function reconcile(
  mine: { readonly sessionId: string; readonly state: SideState } | null,
  offer: Welcome,
): 'resume' | 'begin' | 'mismatch' {
  if (mine !== null && mine.sessionId === offer.sessionId) {
    const { clientToServer, serverToClient } = offer;
    return canBothBeTrue(mine.state, offer.state, clientToServer, serverToClient) ? 'resume' : 'mismatch';
  }
  return (mine === null || isFresh(mine.state)) && isFresh(offer.state) ? 'begin' : 'mismatch';
}
