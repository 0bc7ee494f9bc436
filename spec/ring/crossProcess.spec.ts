import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Connection, type DisconnectReason, Server } from '../../lib/index.js';
import { type Folders, newFolders } from '../support/folders.js';
import { Naps } from '../support/nap.js';
import { Traffic } from '../support/traffic.js';
import { Watchdog } from '../support/until.js';
import { LEAVING } from './rings.js';

const PEER = fileURLToPath(new URL('./crossProcessPeer.js', import.meta.url));

/**
 * JavaScript promises the order of memory for a SharedArrayBuffer; for a mapped file it follows from how V8 compiles
 * Atomics. So it is shown here: every word of every message follows from its number, and is checked on the other side.
 */
describe('rings between two processes', function () {
  // Only a hang ends it: that is what the watchdog notices. How long the traffic takes depends on the machine.
  this.timeout(0);

  let folders: Folders;
  let server: Server;
  let port: number;
  let near: Connection | null;
  let ends: DisconnectReason[];
  const children: ChildProcess[] = [];

  const begin = async (capacityBytes: number): Promise<void> => {
    folders = newFolders();
    near = null;
    ends = [];
    server = new Server({
      ...folders,
      name: `near-${process.pid}`,
      sendCapacityBytes: capacityBytes,
      receiveCapacityBytes: capacityBytes,
      onConnection: (connection) => {
        near = connection;
      },
      onDisconnect: (_, reason) => ends.push(reason),
    });
    ({ port } = await server.listen({ port: 0 }));
  };

  afterEach(async () => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    await server.close({ removeSessions: true });
    folders.remove();
  });

  interface Far {
    readonly process: ChildProcess;
    readonly lines: unknown[];
    exited: boolean;
  }

  const start = (send: number, receive: number): Far => {
    const { sharedDirectory } = folders;
    const options = { server: server.name, port, sharedDirectory, send, receive };
    const child = spawn(process.execPath, [PEER, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const far: Far = { process: child, lines: [], exited: false };
    createInterface({ input: child.stdout }).on('line', (line) => far.lines.push(JSON.parse(line)));
    child.on('close', () => {
      far.exited = true;
    });
    return far;
  };

  /** Exchanges traffic until the condition holds. A waiting side is not a hang while messages move. */
  const work = async (condition: () => boolean, send: number, receive: number): Promise<void> => {
    let watchdog = new Watchdog('the other process');
    let traffic: Traffic | null = null;
    let last: Connection | null = null;
    const naps = new Naps();
    while (!condition()) {
      if (near !== last && near !== null) {
        traffic = new Traffic(near, 0, send, receive);
        // Here and there large messages are handed back as they are, which lib does where that is faster.
        near.side.ends.consumer.clearing = LEAVING;
      }
      last = near;
      let moved = false;
      for (let i = 0; i < 500 && !condition(); i++) {
        const step = traffic?.step() ?? false;
        naps.turned(step);
        if (step) moved = true;
      }
      if (moved) watchdog = new Watchdog('the other process');
      else watchdog.check();
      server.pollControl();
      await nextTurn();
    }
  };

  // A larger queue carries larger messages.
  for (const [capacityBytes, count] of [
    [4096, 3_000_000],
    [1 << 20, 250_000],
  ] as const) {
    it(`show every message whole and in order, with queues of ${capacityBytes} bytes`, async () => {
      await begin(capacityBytes);
      const far = start(count, count);
      await work(() => far.exited, count, count);
      expect(far.lines).to.deep.equal([{ resumedAt: [0, 0] }, { pushed: count, popped: count }]);
      expect([near?.pushed, near?.popped]).to.deep.equal([count, count]);
      expect(ends).to.deep.equal(['closed by peer']);
    });
  }

  it('lose and repeat nothing when one process is killed in the middle of traffic, again and again', async () => {
    const count = 300_000;
    const kills = 6;
    await begin(65536);
    for (let kill = 1; kill <= kills; kill++) {
      const far = start(count, count);
      const until = (count / (kills + 1)) * kill;
      await work(() => (near?.popped ?? 0) >= until, count, count);
      expect(far.lines.length, 'the process had ended by itself').to.be.below(2);
      far.process.kill('SIGKILL');
      const dead = once(far.process, 'exit');
      await work(() => ends.length === kill, count, count);
      await dead;
      expect(near?.state).to.equal('disconnected');
    }
    const far = start(count, count);
    await work(() => far.exited, count, count);
    const [resumed, done] = far.lines as [{ resumedAt: number[] }, unknown];
    expect(resumed.resumedAt.every((n) => n > count / 2 && n <= count)).to.equal(true);
    expect(done).to.deep.equal({ pushed: count, popped: count });
    expect([near?.pushed, near?.popped]).to.deep.equal([count, count]);
    expect(ends.slice(0, kills)).to.deep.equal(Array.from({ length: kills }, () => 'peer ended'));
  });
});
