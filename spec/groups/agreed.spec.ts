import { expect } from 'chai';
import { GroupScene, THREAD_WAYS } from './support.js';

describe('what a login has agreed on, in the threads of groups', () => {
  let scene: GroupScene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(async () => {
    await scene.end();
    expect(scene.errors).to.deep.equal([]);
  });

  for (const way of THREAD_WAYS) {
    it(`is the version of the protocol, also after a move, over ${way}`, async () => {
      const server = scene.groupServer({}, { protocol: { name: 'shop', version: 5, oldest: 2 } });
      const address = await scene.address(server, way);
      const protocol = { name: 'shop', version: 3 };
      const caller = await scene.caller(way, address, { protocol });
      expect(await caller.ask('which?')).to.include({ group: 0, version: 3 });
      await scene.settled(server.move(caller.client.name, 1), 'the move');
      expect(await caller.ask('and now?')).to.include({ group: 1, version: 3 });
      expect(caller.connection.protocolVersion).to.equal(3);
    });

    it(`is how long nothing may be said, over ${way}`, async () => {
      const server = scene.groupServer({}, { idleTimeoutMs: 300 });
      const caller = await scene.caller(way, await scene.address(server, way));
      expect(await caller.ask('there?')).to.include({ group: 0 });
      await scene.until(() => caller.ended.length > 0, 'the end of one that says nothing');
      expect(caller.ended).to.deep.equal(['closed by peer']);
    });
  }
});
