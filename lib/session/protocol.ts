/** What a user's peers say to each other, by name, and the versions of it that one of them speaks: oldest to newest. */
export interface ProtocolRange {
  /** Empty where nothing was said. */
  readonly name: string;
  readonly oldest: number;
  readonly newest: number;
}

export const NO_PROTOCOL: ProtocolRange = { name: '', oldest: 0, newest: 0 };
/** Longest name of a protocol, in bytes. */
export const MAX_PROTOCOL_BYTES = 63;

/**
 * The newest version that both speak; 0 where one of them says nothing, who is believed to know what the other one speaks;
 * null where there is none.
 */
export function agreeVersion(one: ProtocolRange, other: ProtocolRange): number | null {
  if (one.name === '' || other.name === '') return 0;
  const newest = Math.min(one.newest, other.newest);
  return one.name === other.name && newest >= Math.max(one.oldest, other.oldest) ? newest : null;
}

/** As errors show it. */
export function showProtocol({ name, oldest, newest }: ProtocolRange): string {
  return oldest === newest ? `'${name}' version ${newest}` : `'${name}' versions ${oldest} to ${newest}`;
}
