import { expect } from 'chai';
import type { EchoReport } from '../../examples/echo/exchange.js';
import { cleanUp, Folders, NOTHING_WRONG, startClient, startServer } from './support.js';

const KILLS = 3;
/** Never to be reached: clients send until they are told to stop, or killed. */
const ENDLESS = ['--count', '1000000000', '--window', '32', '--progress', '100'];

const PROGRESS = /^\d+ replies$/;
const CONNECTED = /^connected to echo-server/;
const GONE = /^echo-server is gone/;

for (const transport of ['tcp', 'shm']) {
  describe(`the echo over ${transport}, killed in mid-traffic`, () => {
    afterEach(cleanUp);

    it('loses nothing when the server is killed and started again on its port', async () => {
      const folders = new Folders();
      const options = [...folders.options, '--remove-sessions'];
      let { server, port } = await startServer(options);
      const client = startClient(port, [...folders.options, '--transport', transport, ...ENDLESS]);
      for (let kill = 0; kill < KILLS; kill++) {
        const before = client.notes(PROGRESS).length;
        await client.until(() => client.notes(PROGRESS).length > before + 1);
        expect(await server.end('SIGKILL')).to.equal('SIGKILL');
        ({ server } = await startServer(options, port));
        await client.until(() => client.notes(CONNECTED).length === kill + 2);
      }
      client.signal('SIGINT');
      const report = (await client.json()) as EchoReport;
      expect(client.notes(GONE)).to.have.lengthOf(KILLS);
      expect(report).to.include({ ...NOTHING_WRONG, transport, first: 0, resumed: 0 });
      expect(report.received)
        .to.equal(report.sent)
        .and.to.be.above(100 * KILLS);
      expect(await server.end('SIGTERM')).to.equal(0);
      expect(folders.sharedFiles()).to.deep.equal([]);
    });

    it('goes on with the numbering when the client is killed and started again', async () => {
      const folders = new Folders();
      const { server, port } = await startServer([...folders.options, '--remove-sessions']);
      const options = [...folders.options, '--transport', transport];
      let replies = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const client = startClient(port, [...options, ...ENDLESS]);
        await client.until(() => client.notes(PROGRESS).length > 2);
        expect(await client.end('SIGKILL')).to.equal('SIGKILL');
        replies += Number.parseInt(client.notes(PROGRESS).at(-1) as string, 10);
      }
      const report = (await startClient(port, [...options, '--count', '500']).json()) as EchoReport;
      expect(report).to.include({ ...NOTHING_WRONG, transport, sent: 500, received: 500 });
      expect(report.first).to.be.at.least(replies);
      expect(report.resumed).to.be.at.most(32);
      expect(await server.end('SIGTERM')).to.equal(0);
      expect(folders.sharedFiles()).to.deep.equal([]);
    });

    it('goes on when both are killed', async () => {
      const folders = new Folders();
      const first = await startServer(folders.options);
      const options = [...folders.options, '--transport', transport];
      const killed = startClient(first.port, [...options, ...ENDLESS]);
      await killed.until(() => killed.notes(PROGRESS).length > 2);
      await Promise.all([killed.end('SIGKILL'), first.server.end('SIGKILL')]);
      const { port } = await startServer(folders.options);
      const report = (await startClient(port, [...options, '--count', '500']).json()) as EchoReport;
      expect(report).to.include({ ...NOTHING_WRONG, transport, sent: 500, received: 500 });
      expect(report.first).to.be.above(0);
    });
  });
}
