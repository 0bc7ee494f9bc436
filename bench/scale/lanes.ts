/** What the processes of servers with groups and their clients have agreed upon. */

/** Of each connection. Light clients sleep while what is in their queues is worked on. */
export const CAPACITY_BYTES = 2 ** 20;
/** A multiple of the groups that there are. */
export const CONNECTIONS = 4;

export function nameOf(connection: number): string {
  return `lane-${connection}`;
}

/** Connections are divided evenly between the groups. */
export function groupOf(name: string, groups: number): number {
  return Number(name.slice(nameOf(0).length - 1)) % groups;
}

/** What a burst took. */
export interface Burst {
  /** From its first push until all answers were verified. */
  readonly elapsedNs: number;
  /** Time of a processor that the clients' process has had. */
  readonly clientsNs: number;
  /** The same of the thread that has each connection. */
  readonly threadsNs: readonly { readonly before: number; readonly after: number }[];
}
