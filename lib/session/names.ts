import { TcpshmError } from '../errors.js';

/** Longest name in characters, which are bytes, as all of them are ASCII. */
export const MAX_NAME = 63;
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$/;
/** What a name must be, for people. */
export const NAME_RULE = `1 to ${MAX_NAME} characters of A-Z a-z 0-9 . _ - and not start with a dot`;

/** Which end of a session: the one that connects or the one that listens. */
export type Role = 'client' | 'server';

export function otherRole(role: Role): Role {
  return role === 'client' ? 'server' : 'client';
}

/** Whether a value may name a peer. Names become file names, so nothing is ever shortened or replaced. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** Throws ERR_NAME unless the value may name a peer. `what` says whose name it is. */
export function checkName(name: unknown, what: string): string {
  if (isName(name)) return name;
  throw new TcpshmError('ERR_NAME', `${what} must be ${NAME_RULE}, got ${JSON.stringify(name)}`);
}

/**
 * Name of the file that holds a session: `client@server.` and what it is. No name can hold an `@`, so two pairs of
 * names never share a file; the role keeps the journals of both sides apart in a common folder.
 */
export function segmentFileName(client: string, server: string): string {
  return `${client}@${server}.segment`;
}

export function journalFileName(client: string, server: string, role: Role): string {
  return `${client}@${server}.${role}.journal`;
}
