/** The child process of `childIpc.ts`. */
import { pinThread } from '../pinning.js';
import { type Duty, farDuty } from './link.js';

const [cpu, duty] = process.argv.slice(2) as [string, Duty];
pinThread(Number(cpu));
const take = farDuty(duty, (message) => process.send?.(message));
process.on('message', (message) => take(message as Uint8Array));
process.once('disconnect', () => process.exit());
process.send?.('ready');
