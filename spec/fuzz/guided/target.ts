/** What the fuzzer calls: one case of the surface that the environment names, with its bytes for all random choices. */
import { SURFACES } from '../surfaces/all.js';
import { BytesRandom } from './bytesRandom.js';

const { TCPSHM_FUZZ_SURFACE: name = '' } = process.env;
const surface = SURFACES[name];

export function fuzz(bytes: Uint8Array): void {
  surface?.run(new BytesRandom(bytes));
}
