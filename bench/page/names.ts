/** Numbers in the names of results: `throughput/shm/4096` tells of messages of 4096 bytes. */

const FACTORS: Record<string, number> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};
/** What is before and behind it in a word tells of the subject: `ring-64-batched`. */
const NUMBER = /^(?:(\D+)-)?(\d+)(ki|mi|gi|k|m)?b?(-[a-z]+)?$/i;

export interface Sized {
  readonly subject: string;
  readonly bytes: number;
}

/** `throughput/echo/shm/64`: the subject `echo/shm`, 64 bytes. Floors and peers keep their first word. */
export function sizeOf(name: string): Sized | undefined {
  const found = split(name);
  return found === undefined ? undefined : { subject: found.subject, bytes: found.number };
}

export interface Loaded {
  readonly subject: string;
  readonly perSecond: number;
}

/** `latency/shm/100000`: the subject `shm`, at 100,000 messages per second. */
export function loadOf(name: string): Loaded | undefined {
  const found = name.startsWith('latency/') || name.includes('/latency/') ? split(name) : undefined;
  return found === undefined ? undefined : { subject: found.subject, perSecond: found.number };
}

function split(name: string): { readonly subject: string; readonly number: number } | undefined {
  const words = name.split('/');
  const [, prefix, digits, factor = '', suffix = ''] = NUMBER.exec(words.at(-1) as string) ?? [];
  const first = words[0] as string;
  const isFloor = first === 'limit';
  if (digits === undefined || words.length < (isFloor ? 2 : 3) || (prefix !== undefined && !isFloor))
    return undefined;
  const number = Number(digits) * (FACTORS[factor.toLowerCase()] as number);
  const kept = isFloor || first === 'peer' ? words : words.slice(1);
  const subject = [...kept.slice(0, -1), ...(prefix === undefined ? [] : [prefix])].join('/');
  return number > 0 ? { subject: subject + suffix, number } : undefined;
}
