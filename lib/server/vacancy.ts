import type { GroupMember, Roster } from '../group/roster.js';
import type { Seat } from '../login/loginHost.js';
import { kindOf, type Polled } from '../poll/polled.js';
import type { PolledSet } from '../poll/polledSet.js';

/** Who has a place: in the server's thread, in those of groups, and in the middle of a login. */
export interface Guests {
  readonly polled: PolledSet;
  /** Connections of a client that are polled here. */
  polledOf(client: string): readonly Polled[];
  /** Null where groups have no threads. */
  readonly roster: Roster | null;
  readonly seats: readonly Seat[];
}

/**
 * Why there is no room for one more connection, in its group or in the server; null while there is. A client that logs
 * in again takes its own place, and one that logs in has it already. Throws ERR_OPTION when there is no such group.
 */
export function whyFull(wanted: GroupMember, guests: Guests, maxConnections: number): string | null {
  const { polled, roster, seats } = guests;
  const kind = kindOf(wanted);
  const alike = (transport: GroupMember['transport'], group: number): number =>
    group === wanted.group && kindOf({ transport }) === kind ? 1 : 0;
  let all = polled.size;
  let taken = polled.sizeOf(kind, wanted.group);
  for (const { connection, group } of guests.polledOf(wanted.remoteName)) {
    all--;
    taken -= alike(connection.transport, group);
  }
  for (const { hello, agreement, group } of seats) {
    if (hello.client === wanted.remoteName) continue;
    all++;
    taken += alike(agreement.transport, group);
  }
  for (const { remoteName, transport, group, target } of roster ?? []) {
    if (remoteName === wanted.remoteName) continue;
    all++;
    taken += alike(transport, group);
    // One that is being moved has two places.
    if (target !== null) taken += alike(transport, target);
  }
  if (all >= maxConnections) return `the server has its ${maxConnections} connections`;
  const limit = polled.limits[kind];
  return taken < limit ? null : `group ${wanted.group} has its ${limit} ${kind} connections`;
}
