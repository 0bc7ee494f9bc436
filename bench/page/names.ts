/** Numbers in the names of results: `throughput/shm/4096` tells of messages of 4096 bytes. */

const FACTORS: Record<string, number> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};
const NUMBER = /^([\d.]+)\s*-?(ki|mi|gi|k|m)?(?:b|bytes|\/s|ps)?$/i;

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
  const [first, ...others] = words;
  const matched = NUMBER.exec(words.at(-1) as string);
  if (words.length < 3 || matched === null) return undefined;
  const number = Number(matched[1]) * (FACTORS[(matched[2] ?? '').toLowerCase()] as number);
  const subject = others.slice(0, -1).join('/');
  const kept = first === 'limit' || first === 'peer' ? `${first}/${subject}` : subject;
  return number > 0 ? { subject: kept, number } : undefined;
}
