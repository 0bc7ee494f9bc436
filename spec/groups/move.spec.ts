import { expect } from 'chai';
import type { TcpshmError } from '../../lib/index.js';
import { expectError, newName, type Way } from '../peers/support.js';
import { Random, randomSeed } from '../support/random.js';
import { GroupScene, THREAD_WAYS } from './support.js';

const MOVES = 25;

describe('a connection that is moved to another group', () => {
  let scene: GroupScene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(async () => {
    await scene.end();
    expect(scene.errors).to.deep.equal([]);
  });

  const cases: readonly (readonly [string, Way, object, number])[] = [
    ...THREAD_WAYS.map((way) => [way, way, {}, 4096] as const),
    // Frames cut records here.
    ['tcp native, with frames that cut records', 'tcp native', {}, 1 << 20],
    ['tcp native, where the server has no folder', 'tcp native', { directory: undefined }, 65536],
    ["tcp native with durability 'disk'", 'tcp native', { durability: 'disk' }, 65536],
  ];
  for (const [name, way, options, capacity] of cases) {
    const seed = randomSeed();
    it(`loses, repeats and reorders nothing, under load both ways, over ${name} (seed ${seed})`, async () => {
      const random = new Random(seed);
      const capacities = { sendCapacityBytes: capacity, receiveCapacityBytes: capacity };
      const server = scene.groupServer({ count: 3 }, { ...options, ...capacities });
      const address = await scene.address(server, way);
      const messages = capacity > 65536 ? 4000 : 12_000;
      const callers = [
        await scene.trafficker(way, address, messages),
        await scene.trafficker(way, address, messages),
      ];
      let moves = 0;
      let underLoad = 0;
      let failure: unknown = null;
      const moveOn = async (caller: (typeof callers)[number]): Promise<void> => {
        while (!caller.traffic.done || moves < MOVES) {
          const group = (scene.groupOf(server, caller) + random.between(1, 2)) % 3;
          await server.move(caller.client.name, group);
          expect(scene.groupOf(server, caller)).to.equal(group);
          moves++;
          if (!caller.traffic.done) underLoad++;
          for (let turns = random.below(20); turns > 0; turns--) await scene.turn();
        }
      };
      const moving = Promise.all(callers.map(moveOn)).catch((error: unknown) => {
        failure = error;
      });
      const done = (): boolean => failure !== null || callers.every(({ traffic }) => traffic.done);
      await scene.exchange(callers, done, 'the messages');
      await scene.settled(moving, 'the last move');
      if (failure !== null) throw failure;
      expect(moves).to.be.at.least(MOVES);
      expect(underLoad, 'moves under load').to.be.above(3);
      for (const caller of callers) {
        expect(await caller.ask('who?')).to.include({
          group: scene.groupOf(server, caller),
          pushed: messages,
          popped: messages,
        });
        expect(caller.ended).to.deep.equal([]);
      }
    });
  }

  it('is heard of by the handlers of both groups, and by no client', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'tcp native');
    const caller = await scene.caller('tcp native', address, { name: newName('moved') });
    const { name } = caller.client;
    expect((await caller.ask('one')).events).to.deep.equal([`${name} came`]);
    await scene.settled(server.move(name, 1), 'the move');
    expect((await caller.ask('two')).events).to.deep.equal([`${name} came`]);
    await scene.settled(server.move(name, 1), 'a move to where it is');
    await scene.settled(server.move(name, 0), 'the move back');
    expect((await caller.ask('three')).events).to.deep.equal([
      `${name} came`,
      `${name} left: moved`,
      `${name} came`,
    ]);
    expect([caller.ended, caller.connection.state]).to.deep.equal([[], 'connected']);
  });

  it('waits while a message is allocated, which is not lost', async () => {
    const server = scene.groupServer();
    const caller = await scene.caller('shm', await scene.address(server, 'shm'));
    await scene.claim(caller);
    let moved = false;
    const moving = server.move(caller.client.name, 1).then(() => {
      moved = true;
    });
    for (let turn = 0; turn < 200; turn++) await scene.turn();
    expect([moved, scene.groupOf(server, caller)]).to.deep.equal([false, 0]);
    caller.connection.send('push');
    await scene.settled(moving, 'the move');
    await scene.until(() => caller.connection.front() !== null, 'the message');
    expect(caller.connection.front()?.text()).to.equal('claimed!');
    caller.connection.pop();
    expect((await caller.ask('two')).group).to.equal(1);
  });

  it('takes one move after the other, also in the middle of its login', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'shm');
    const name = newName('moved');
    const moves: Promise<void>[] = [];
    const connecting = scene.caller('shm', address, { name });
    await scene.until(() => server.members.length > 0, 'the login');
    for (const group of [1, 0, 1, 0, 1]) moves.push(server.move(name, group));
    const caller = await connecting;
    await scene.settled(Promise.all(moves), 'the moves');
    expect(scene.groupOf(server, caller)).to.equal(1);
    expect((await caller.ask('who?')).group).to.equal(1);
  });

  it('is refused by a group that is full, and where there is none', async () => {
    const server = scene.groupServer({ shmConnections: 1 }, {}, (name) => (name.startsWith('b') ? 1 : 0));
    const address = await scene.address(server, 'shm');
    const a = await scene.caller('shm', address, { name: newName('a') });
    const b = await scene.caller('shm', address, { name: newName('b') });
    await scene.refused(server.move(a.client.name, 1), 'ERR_GROUP_FULL', /group 1 has its 1 shm connections/);
    await scene.refused(server.move('nobody', 1), 'ERR_NOT_CONNECTED', /'nobody'/);
    await scene.refused(server.move(a.client.name, 2), 'ERR_OPTION', /from 0 to 1, got 2/);
    expect((await a.ask('who?')).group).to.equal(0);
    await b.client.close();
    await scene.until(() => server.members.length === 1, 'the end of the other');
    await scene.settled(server.move(a.client.name, 1), 'the move');
    expect((await a.ask('who?')).group).to.equal(1);
    const again = await scene.caller('shm', address, { name: newName('a') });
    expect((await again.ask('who?')).group).to.equal(0);
  });

  for (const way of THREAD_WAYS) {
    it(`is told when it has ended meanwhile, over ${way}`, async () => {
      const server = scene.groupServer();
      const address = await scene.address(server, way);
      const codes: string[] = [];
      for (let round = 0; round < 8; round++) {
        const caller = await scene.caller(way, address, { name: newName('ending') });
        await caller.ask('one');
        // Sometimes the thread notices the end first, sometimes it passes the connection on first.
        const closing = caller.client.close();
        const outcome = server.move(caller.client.name, 1).then(
          () => 'moved',
          (error: TcpshmError) => error.code,
        );
        codes.push(await scene.settled(outcome, 'the move'));
        await closing;
        await scene.until(() => server.members.length === 0, 'the end');
      }
      expect(codes.filter((code) => code !== 'moved' && code !== 'ERR_NOT_CONNECTED')).to.deep.equal([]);
      // One that waits, as the handlers have a message allocated, is told for certain.
      const caller = await scene.caller(way, address, { name: newName('ending') });
      await scene.claim(caller);
      const refused = server.move(caller.client.name, 1).catch((error: unknown) => error);
      for (let turn = 0; turn < 50; turn++) await scene.turn();
      await caller.client.close();
      expectError(await scene.settled(refused, 'the end'), 'ERR_NOT_CONNECTED');
    });
  }

  it('of the groups of one thread is polled with the other from then on', async () => {
    const heard: string[] = [];
    const server = scene.server({
      groups: { count: 2, shmConnections: 1 },
      acceptLogin: ({ name }) => ({ group: name.startsWith('b') ? 1 : 0 }),
      onMessage(connection, message) {
        heard.push(message.text());
        connection.pop();
      },
    });
    const address = await scene.address(server, 'shm');
    const a = await scene.caller('shm', address, { name: newName('a') });
    const b = await scene.caller('shm', address, { name: newName('b') });
    const { name } = a.client;
    await scene.refused(server.move(name, 1), 'ERR_GROUP_FULL');
    await scene.refused(server.move('nobody', 1), 'ERR_NOT_CONNECTED');
    await b.client.close();
    await scene.until(() => server.members.length === 1, 'the end of the other');
    await server.move(name, 1);
    expect(server.members).to.deep.equal([{ remoteName: name, transport: 'shm', group: 1 }]);
    a.connection.send('hello');
    server.pollShm(0);
    expect(heard).to.deep.equal([]);
    server.pollShm(1);
    expect(heard).to.deep.equal(['hello']);
  });
});
