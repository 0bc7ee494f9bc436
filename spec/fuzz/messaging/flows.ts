import { Flag, FRAGMENT_COST, MAX_FRAGMENT_BYTES } from '../../../lib/messaging/packet.js';
import { require } from '../surface.js';

/**
 * What a peer has said in one direction of an exchange, by the rules alone: which values it may have meant. Whoever reads
 * it may be stricter, and end it earlier, but nothing else may come out.
 */
export class ToldFlow {
  /** Whether something of it cannot be: no value comes of what follows. */
  broken = false;
  ended = false;
  /** Of the value that has begun: what it costs, and how many fragments it has. */
  keptCost = 0;
  inside = false;
  readonly #values: { readonly text: string; readonly fragments: number }[] = [];
  #text = '';
  #fragments = 0;

  /** A fragment, with its bytes as they were before they were compressed; null where there are no such. */
  told(flags: number, text: string | null): void {
    if (this.broken) return;
    const first = (flags & Flag.first) !== 0;
    const last = (flags & Flag.last) !== 0;
    const end = (flags & Flag.end) !== 0;
    const raw = (flags & Flag.bytes) !== 0;
    if (!first && !this.inside && end && !last && !this.ended && (text ?? '') === '') {
      this.ended = true;
      return;
    }
    this.broken =
      this.ended ||
      first === this.inside ||
      (end && !last) ||
      (raw && !(first && last)) ||
      text === null ||
      text.length > MAX_FRAGMENT_BYTES;
    if (this.broken) return;
    this.#text = first ? (text as string) : this.#text + (text as string);
    this.#fragments = first ? 1 : this.#fragments + 1;
    this.keptCost = last ? 0 : (first ? 0 : this.keptCost) + (text as string).length + FRAGMENT_COST;
    this.inside = !last;
    this.ended = end;
    if (last) this.#values.push({ text: this.#text, fragments: this.#fragments });
  }

  /** A value has come out of it. */
  delivered(value: unknown, mostBytes: number, whose: () => string): void {
    const text = textOf(value);
    const expected = this.#values.shift();
    require(expected !== undefined && expected.text === text, () =>
      `${whose()}: got ${show(text)}, which was ${expected === undefined ? 'not said' : `to be ${show(expected.text)}`}`);
    require(expected?.fragments === 1 || text.length <= mostBytes, () =>
      `${whose()}: a value of ${text.length} bytes was put together, at most ${mostBytes} may be`);
  }
}

/** A value of the codec, bytes of a stream, or none. */
export function textOf(value: unknown): string {
  if (value === undefined) return '';
  return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value);
}

function show(text: string): string {
  return text.length > 40 ? `${JSON.stringify(text.slice(0, 40))}… (${text.length})` : JSON.stringify(text);
}
