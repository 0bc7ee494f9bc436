/** The far side of a pair of ports, in a thread of its own: sends everything back, and does what it is told. */
import { workerData } from 'node:worker_threads';
import { RingPort, type RingPortHandle } from '../../lib/index.js';

const port = RingPort.open(workerData as RingPortHandle);
port.on('message', (value) => {
  if (value === 'close') port.close();
  else if (value === 'post and close') {
    for (let i = 0; i < 5000; i++) port.postMessage(i);
    port.close();
  } else if (value === 'exit') process.exit(0);
  else if (value === 'throw') throw new Error('thrown by a listener');
  else port.postMessage(value);
});
