import { expect } from 'chai';
import type { ConnectOptions, Server } from '../../lib/index.js';
import { newName } from '../peers/support.js';
import { type Caller, GroupScene } from './support.js';

const TABLE = [
  ['in threads', true],
  ['in the thread of the server', false],
] as const;

for (const [where, inThreads] of TABLE) {
  describe(`limits of connections, with groups ${where}`, () => {
    let scene: GroupScene;
    beforeEach(() => {
      scene = new GroupScene();
    });
    afterEach(() => scene.end());

    /** The group of a client is the digit that its name begins with. */
    function server(groups: object, options: object = {}): Server {
      if (inThreads) return scene.groupServer(groups, options, (name) => Number(name[0]));
      return scene.server({
        groups: { count: 2, ...groups },
        acceptLogin: ({ name }) => ({ group: Number(name[0]) }),
        ...options,
      });
    }

    async function refused(address: ConnectOptions, name: string, message: RegExp): Promise<void> {
      const client = scene.client({ name: newName(name) });
      await scene.refused(client.connect(address), 'ERR_LOGIN_REJECTED', message);
      await client.close();
    }

    async function leave(one: Server, { client }: Caller): Promise<void> {
      const before = one.members.length;
      await client.close();
      await scene.until(() => one.members.length < before, 'the place to be free');
    }

    it('hold for each group and kind, and the place of one who left is free again', async () => {
      const one = server({ shmConnections: 2, tcpConnections: 1 });
      const shm = await scene.address(one, 'shm');
      const tcp = await scene.address(one, 'tcp native');
      const inproc = await scene.address(one, 'inproc');
      const first = await scene.caller('shm', shm, { name: newName('0') });
      await scene.caller('inproc', inproc, { name: newName('0') });
      await refused(shm, '0', /group 0 has its 2 shm connections/);
      await refused(inproc, '0', /group 0 has its 2 shm connections/);
      const third = await scene.caller('tcp native', tcp, { name: newName('0') });
      await refused(tcp, '0', /group 0 has its 1 tcp connections/);
      await scene.caller('tcp native', tcp, { name: newName('1') });
      await leave(one, first);
      await scene.caller('inproc', inproc, { name: newName('0') });
      await refused(shm, '0', /group 0 has its 2 shm connections/);
      await leave(one, third);
      await scene.caller('tcp native', tcp, { name: newName('0') });
      await refused(tcp, '0', /group 0 has its 1 tcp connections/);
    });

    it('hold for all groups together', async () => {
      const one = server({}, { maxConnections: 3 });
      const address = await scene.address(one, 'shm');
      const callers: Caller[] = [];
      for (const group of ['0', '1', '0']) {
        callers.push(await scene.caller('shm', address, { name: newName(group) }));
      }
      for (const group of ['0', '1']) await refused(address, group, /the server has its 3 connections/);
      await leave(one, callers[1] as Caller);
      await scene.caller('shm', address, { name: newName('0') });
      await refused(address, '1', /the server has its 3 connections/);
    });

    it('do not keep out who logs in again, as his own place is his', async () => {
      const one = server({ shmConnections: 1 }, { maxConnections: 1 });
      const address = await scene.address(one, 'shm');
      const name = newName('0');
      for (let life = 0; life < 5; life++) {
        // The server has not seen the end of the one before.
        const { client } = await scene.caller('shm', address, { name });
        await client.close();
      }
    });

    it('hold for clients that come all at once', async () => {
      const one = server({ shmConnections: 3 }, { maxConnections: 5 });
      const address = await scene.address(one, 'shm');
      const names = ['0', '0', '0', '0', '0', '1', '1', '1', '1', '1'].map((group) => newName(group));
      const outcomes = await scene.settled(
        Promise.all(
          names.map((name) =>
            scene
              .client({ name })
              .connect(address)
              .then(
                () => 'in',
                (error: { code: string }) => error.code,
              ),
          ),
        ),
        'all logins',
      );
      expect(outcomes.filter((outcome) => outcome === 'in')).to.have.length(5);
      expect(outcomes.filter((outcome) => outcome === 'ERR_LOGIN_REJECTED')).to.have.length(5);
      await scene.until(() => one.members.length === 5, 'the members');
      for (const group of [0, 1]) {
        expect(one.members.filter((member) => member.group === group).length).to.be.at.most(3);
      }
    });
  });
}
