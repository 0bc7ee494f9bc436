import { readFileSync } from 'node:fs';

/** Beside the sources: the compiled specs are in dist/spec/support. How they were made is in `make.sh` there. */
const FOLDER = new URL('../../../spec/support/certificates/', import.meta.url);

/** Who the specs of TLS know. */
export type Holder = 'server' | 'renewed' | 'expired' | 'elsewhere' | 'client' | 'intruder';

/** The key and certificate of one. */
export function certificate(of: Holder): { readonly key: Buffer; readonly cert: Buffer } {
  return { key: read(`${of}.key`), cert: read(`${of}.pem`) };
}

/** Who has issued all but that of the intruder; and the stranger, who has issued that one. */
export const authority: Buffer = read('authority.pem');
export const stranger: Buffer = read('stranger.pem');

function read(name: string): Buffer {
  return readFileSync(new URL(name, FOLDER));
}
