import { openPeers } from './pairs.js';
import { queueContract } from './queueContract.js';

const reopen = ['a', 'b'] as const;

for (const wire of ['native', 'net'] as const) {
  queueContract(`tcp over ${wire} sockets`, (capacity) => openPeers(capacity, { transport: 'tcp', wire }), {
    reopen,
    messages: 500_000,
    runs: 50,
  });
  queueContract(
    `tcp over ${wire} sockets, cut`,
    (capacity) => openPeers(capacity, { transport: 'tcp', wire, piecesPerFrame: 1 }),
    { reopen, messages: 100_000, runs: 50 },
  );
  queueContract(
    `tcp over ${wire} sockets, every frame cut in seven`,
    (capacity) => openPeers(capacity, { transport: 'tcp', wire, piecesPerFrame: 7 }),
    { reopen, messages: 100_000, runs: 50 },
  );
}

queueContract('tcp over tls', (capacity) => openPeers(capacity, { transport: 'tcp', tls: true }), {
  reopen,
  messages: 200_000,
  runs: 25,
});
queueContract(
  'tcp over tls, cut',
  (capacity) => openPeers(capacity, { transport: 'tcp', tls: true, piecesPerFrame: 1 }),
  { reopen, messages: 50_000, runs: 25 },
);
