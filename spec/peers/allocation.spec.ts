import { expect } from 'chai';
import { Scene } from './support.js';

/**
 * Echoes messages between two peers of one process, in rounds, and prints after each round what the heap holds after
 * a full collection, and how much was thrown away meanwhile: the scavenges of the young generation, which is 16 MB.
 */
const ECHO = `
  import { PerformanceObserver } from 'node:perf_hooks';
  const [way, rounds, messages, wasteful] = JSON.parse(process.env.ECHO);
  let scavenges = 0;
  new PerformanceObserver((list) => {
    // Kind 1 is a scavenge, of garbage that died young: what an allocation per message becomes.
    for (const entry of list.getEntries()) if (entry.detail.kind === 1) scavenges++;
  }).observe({ entryTypes: ['gc'] });

  // What near sends, it sends through out.
  let near, out, far, turn, close = () => {};
  if (way === 'RingChannel' || way === 'writers') {
    const channel = new tcpshm.RingChannel({ capacityBytes: 65536 });
    out = near = channel.local;
    far = tcpshm.RingChannel.open(channel.remote);
    turn = () => {};
    if (way === 'writers') {
      out = tcpshm.ConnectionWriter.open(near.writer());
      const handlers = {};
      turn = () => near.poll(handlers);
    }
  } else {
    const { sharedDirectory } = JSON.parse(process.env.PLACES);
    const options = { sharedDirectory, sendCapacityBytes: 65536, receiveCapacityBytes: 65536 };
    const server = new tcpshm.Server({ name: 'server-' + process.pid, ...options });
    const client = new tcpshm.Client({ name: 'client', ...options });
    const address = way === 'inproc'
      ? (await server.listen({ transport: 'inproc' }), { transport: 'inproc', server: server.name })
      : { ...(await server.listen({ port: 0 })), transport: way };
    const login = client.connect(address);
    let done = false;
    login.then(() => { done = true; });
    while (!done) { server.poll(); await new Promise(setImmediate); }
    out = near = await login;
    far = server.connections[0];
    turn = (now) => { client.poll(now); server.poll(now); };
    close = async () => { await client.close(); await server.close({ removeSessions: true }); };
  }

  const now = performance.now();
  let sent = 0, received = 0, sum = 0;
  function round(count) {
    for (let end = received + count; received < end;) {
      for (let i = 0; i < 20; i++) {
        const message = out.alloc(8 + (sent % 5) * 48);
        if (message === null) break;
        message.setFloat64(0, sent++);
        // A batch of two, then one alone.
        if (sent % 3 === 0) out.pushMore();
        else out.push();
      }
      out.publish();
      turn(now);
      for (let message = far.front(); message !== null; message = far.front()) {
        const echo = far.alloc(message.size);
        if (echo === null) break;
        echo.copyFrom(message);
        far.pop();
        far.push();
      }
      turn(now);
      for (let message = near.front(); message !== null; message = near.front()) {
        if (message.getFloat64(0) !== received) throw new Error('expected ' + received);
        sum += message.size;
        if (wasteful) globalThis.waste = { received };
        received++;
        near.pop();
      }
    }
  }

  for (let i = 0; i <= rounds; i++) {
    round(messages);
    gc();
    // The observer hears of collections when the event loop turns.
    await new Promise((resolve) => setTimeout(resolve, 20));
    say(JSON.stringify({ heap: process.memoryUsage().heapUsed, scavenges, received }));
    scavenges = 0;
  }
  await close();
`;

/**
 * Code is optimised by the thread that runs it. Another one may be late on a busy machine, with what was learnt by then:
 * so it came about that a function was not inlined, for ever, and its result was a number that was allocated.
 */
const ON_ITS_OWN = '--single-threaded';

/** What may come and go besides messages: code that is optimised, statistics of the engine, timers. */
const HEAP_SLACK_BYTES = 512 * 1024;

describe('messages allocate nothing', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  interface Round {
    readonly heap: number;
    readonly scavenges: number;
    readonly received: number;
  }

  /** What the process says after the first round, in which code is compiled, and after the others. */
  async function roundsOf(...what: [string, number, number, boolean]): Promise<[Round, ...Round[]]> {
    const environment = { ECHO: JSON.stringify(what), PLACES: JSON.stringify(scene.folders) };
    const { words, child } = scene.child(ECHO, environment, undefined, [], [ON_ITS_OWN]);
    await scene.until(() => words.length > what[1] || child.exitCode !== null, 'all rounds');
    expect(words, 'rounds').to.have.length(what[1] + 1);
    return words.map((word) => JSON.parse(word)) as [Round, ...Round[]];
  }

  function scavengesOf(rounds: readonly Round[]): number {
    return rounds.reduce((sum, { scavenges }) => sum + scavenges, 0);
  }

  it('(and one small object for each of them would be noticed)', async () => {
    const [, ...measured] = await roundsOf('RingChannel', 3, 800_000, true);
    expect(scavengesOf(measured)).to.be.above(3);
  });

  const ways: [string, number][] = [
    ['RingChannel', 2_000_000],
    ['writers', 1_000_000],
    ['inproc', 1_000_000],
    ['shm', 1_000_000],
    ['tcp', 150_000],
  ];
  for (const [way, messages] of ways) {
    const rounds = 3;
    it(`over ${way}, in ${rounds} rounds of ${messages}`, async () => {
      // Two to warm up: the first collection throws code away as well, which is compiled again in the second round.
      const [, warm, ...measured] = (await roundsOf(way, rounds + 1, messages, false)) as [
        Round,
        Round,
        ...Round[],
      ];
      const last = measured[rounds - 1] as Round;
      expect(last.received).to.be.at.least((rounds + 2) * messages);
      expect(last.heap - warm.heap).to.be.below(HEAP_SLACK_BYTES);
      expect(scavengesOf(measured), 'scavenges').to.be.at.most(rounds);
    });
  }
});
