import { expect } from 'chai';
import { TcpshmError } from '../../lib/index.js';
import { CONSUMED, RECORDS } from '../../lib/ring/layout.js';
import { ring as ringBell } from '../../lib/wire/bells.js';
import { expectError, newName } from '../peers/support.js';
import { type Caller, GroupScene, THREAD_WAYS } from './support.js';

/** A module whose handlers throw what they are told to. */
function module(text: string): string {
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

describe('a handler in the thread of a group that throws', () => {
  let scene: GroupScene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(() => scene.end());

  function expectReport(name: string, message = 'on purpose'): TcpshmError {
    const pattern = new RegExp(`^group 0: a handler threw for '${name}': ${message}$`);
    const error = expectError(scene.errors.at(-1), 'ERR_HANDLER', pattern);
    expect((error.cause as Error).message).to.equal(message);
    return error;
  }

  for (const way of THREAD_WAYS) {
    it(`ends that connection alone, and the server is told, over ${way}`, async () => {
      const server = scene.groupServer();
      const address = await scene.address(server, way);
      const bystander = await scene.caller(way, address);
      const caller = await scene.caller(way, address, { reconnect: true });
      caller.connection.send('throw');
      await scene.until(() => caller.ended.length > 0, 'the end of the connection');
      expect(caller.ended).to.deep.equal(['closed by peer']);
      await scene.until(() => scene.errors.length > 0, 'the error');
      const error = expectReport(caller.client.name);
      expect((error.cause as Error).stack).to.match(/commands\.[jt]s/);
      const { events } = await bystander.ask('who?');
      expect(events).to.include(`${caller.client.name} left: handler failed ERR_HANDLER`);
      expect(bystander.ended).to.deep.equal([]);
      // It was popped before.
      await scene.until(() => caller.connection.state === 'connected', 'the next login');
      expect((await caller.ask('again')).popped).to.equal(1);
      expect(scene.errors).to.have.length(1);
    });
  }

  it('before its pop gets the message again with the next login', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'shm');
    const name = newName('thrower');
    const first = await scene.caller('shm', address, { name });
    first.connection.send('throw and keep');
    await scene.until(() => first.ended.length > 0, 'the end of the connection');
    await scene.until(() => scene.errors.length > 0, 'the error');
    expectReport(name);
    await first.client.close();
    const second = await scene.caller('shm', address, { name });
    await scene.until(() => scene.errors.length > 1, 'the same again');
    expectReport(name);
    expect(second.connection.pushed).to.equal(1);
  });

  it('is onConnection or onDisconnect: the server is told as well', async () => {
    const worker = module(`
      export function onMessage(connection) { connection.pop(); }
      export function onConnection(connection) {
        if (connection.remoteName.startsWith('early')) throw new Error('at its beginning');
      }
      export function onDisconnect(connection, reason) { throw new Error('at its end: ' + reason); }`);
    const server = scene.groupServer({ worker });
    const address = await scene.address(server, 'shm');
    const early = await scene.caller('shm', address, { name: newName('early') });
    await scene.until(() => early.ended.length > 0, 'the end of the connection');
    await scene.until(() => scene.errors.length === 2, 'both errors');
    expect(scene.errors.map(({ message }) => message.split(': ').slice(2).join(': '))).to.deep.equal([
      'at its beginning',
      'at its end: handler failed',
    ]);
    const late = await scene.caller('shm', address, { name: newName('late') });
    await late.client.close();
    await scene.until(() => scene.errors.length === 3, 'the error');
    expectReport(late.client.name, 'at its end: closed by peer');
    await scene.until(() => server.members.length === 0, 'the end');
  });

  it('may throw anything', async () => {
    for (const [thrown, message] of [
      ['null', 'null'],
      ["'a text'", 'a text'],
      ["Object.assign(new RangeError('far'), { code: 'ERR_FAR' })", 'far'],
    ] as const) {
      const worker = module(`export function onMessage(connection) { connection.pop(); throw ${thrown}; }`);
      const server = scene.groupServer({ worker }, { name: newName('server') });
      const address = await scene.address(server, 'shm');
      const caller = await scene.caller('shm', address);
      caller.connection.send('x');
      const before = scene.errors.length;
      await scene.until(() => scene.errors.length > before, 'the error');
      const error = expectReport(caller.client.name, message);
      if (message === 'far') expect(error.cause).to.include({ name: 'RangeError', code: 'ERR_FAR' });
      await server.close();
    }
  });

  it('meets what a peer must not have written: that peer alone is taken for it', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'shm');
    const bystander = await scene.caller('shm', address);
    const caller = await scene.caller('shm', address);
    await caller.ask('who?');
    // A header that no message can have, where the next one is expected.
    const ring = caller.connection.side.ends.open.segment.clientToServer;
    const position = ring.words[CONSUMED] as number;
    ring.words[(RECORDS + (position & ring.mask)) >> 2] = 3;
    const { parked, bell } = caller.connection.side.ends.open.segment.parking.server;
    if (parked !== 0) ringBell(bell);
    await scene.until(() => caller.ended.length > 0, 'the end of the connection');
    const { events } = await bystander.ask('who?');
    expect(events.at(-1)).to.equal(`${caller.client.name} left: protocol violated ERR_PROTOCOL`);
    expect(scene.errors).to.deep.equal([]);
  });

  it('reaches onError in the poll of the server, which throws what that throws', async () => {
    const server = scene.groupServer(
      {},
      {
        onError(error) {
          throw new Error(`told of ${error.code}`);
        },
      },
    );
    const address = await scene.address(server, 'shm');
    const caller: Caller = await scene.caller('shm', address);
    caller.connection.send('throw');
    let thrown: unknown = null;
    await scene
      .until(() => caller.ended.length > 1, 'nothing')
      .catch((error: unknown) => {
        thrown = error;
      });
    expect((thrown as Error).message).to.equal('told of ERR_HANDLER');
    expect(thrown).to.not.be.instanceOf(TcpshmError);
  });
});
