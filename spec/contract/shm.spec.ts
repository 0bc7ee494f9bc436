import { openPeers } from './pairs.js';
import { queueContract } from './queueContract.js';

queueContract('shm', (capacity) => openPeers(capacity, { transport: 'shm' }), {
  reopen: ['a', 'b'],
  messages: 1_000_000,
  runs: 100,
});
queueContract(
  'shm, its control connection cut',
  (capacity) => openPeers(capacity, { transport: 'shm', piecesPerFrame: 1 }),
  { reopen: ['a', 'b'], messages: 50_000, runs: 30 },
);
