import { TcpshmError } from '../errors.js';

/**
 * Who has a side of a session open, and how long ago he last gave a sign of life. A lock tells that an owner is
 * dead, but one that is stopped or hangs keeps his lock: after his own connection timeout without a sign of life
 * another process may take his place (store/takeOver.ts).
 *
 * Times are of the machine's clock since it was started, the same for all its processes. What is left from before a
 * reboot does not matter, as nobody holds a lock since then.
 */
export interface Tenure {
  readonly processId: number;
  /** After so long without a sign of life the place may be taken. */
  readonly timeoutMs: number;
  readonly lastSignMs: number;
  /** Whether the owner has the side open in the file that the session was moved from, and is to come over to this. */
  readonly toCome: boolean;
}

/** Words of a tenure. The timeout is negative while the owner is to come. */
const PROCESS_ID = 0;
const TIMEOUT = 1;
const LAST_SIGN = 2;

/** Null where nobody ever was. */
export function readTenure(words: Float64Array): Tenure | null {
  const processId = words[PROCESS_ID] as number;
  if (processId === 0) return null;
  const timeout = words[TIMEOUT] as number;
  return {
    processId,
    timeoutMs: Math.abs(timeout),
    lastSignMs: words[LAST_SIGN] as number,
    toCome: timeout < 0,
  };
}

/** Puts an owner in. The sign of life comes first: with that of his predecessor he would look silent. */
export function beginTenure(words: Float64Array, processId: number, timeoutMs: number, nowMs: number): void {
  words[LAST_SIGN] = nowMs;
  words[TIMEOUT] = timeoutMs;
  words[PROCESS_ID] = processId;
}

/** The owner is alive. */
export function renewTenure(words: Float64Array, nowMs: number): void {
  words[LAST_SIGN] = nowMs;
}

/** In the fresh file of a session that is being moved: the other side's owner is to come over. */
export function expectOwner(words: Float64Array): void {
  words[TIMEOUT] = -Math.abs(words[TIMEOUT] as number);
}

/** How long an owner has been silent, in milliseconds. */
export function silenceOf(tenure: Tenure, nowMs: number): number {
  return nowMs - tenure.lastSignMs;
}

/** Whether an owner has been silent for so long that his place may be taken. */
export function isSilent(tenure: Tenure, nowMs: number): boolean {
  // Not below: what is no number must not keep a place for ever.
  return !(silenceOf(tenure, nowMs) < tenure.timeoutMs);
}

/** When to give the next sign of life, by the caller's clock: any milliseconds that do not go backwards. */
export class Renewal {
  readonly #intervalMs: number;
  #last = Number.NEGATIVE_INFINITY;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** True once per interval, and at the first call. */
  due(now: number): boolean {
    if (now - this.#last < this.#intervalMs) return false;
    this.#last = now;
    return true;
  }
}

/** What a process gets whose side of a session is another's by now. `by` is that one's process id, where it is known. */
export function fencedError(localName: string, remoteName: string, by: number | null): TcpshmError {
  const who = by === null ? 'another process' : `another process (id ${by})`;
  return new TcpshmError(
    'ERR_FENCED',
    `${who} has taken over '${localName}' in its session with '${remoteName}', since this process gave no sign of` +
      ' life for its connectionTimeoutMs: this process can no longer use the session, and its connection is closed.' +
      ' A push or pop that threw this may or may not have been taken along, all before it was; nothing after it is' +
      ' in the session. To have it back, connect again once the other process has ended',
  );
}
