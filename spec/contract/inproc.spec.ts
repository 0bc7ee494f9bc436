import { openChannel, openPeers } from './pairs.js';
import { queueContract } from './queueContract.js';

queueContract('RingChannel', openChannel, { reopen: ['b'], messages: 500_000, runs: 200 });
queueContract('inproc by name', (capacity) => openPeers(capacity, { transport: 'inproc' }), {
  reopen: ['b'],
  messages: 500_000,
  runs: 50,
});
