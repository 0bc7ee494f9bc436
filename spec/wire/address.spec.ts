import dns from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { expect } from 'chai';
import { Client, Server, TcpshmError } from '../../lib/index.js';

/** A host with two addresses, of which nobody listens at the first. */
const HOST = 'two.tcpshm.test';

describe('a host with several addresses', () => {
  const { lookup } = dns;
  let addresses: string[];
  before(() => {
    const fake = async (host: string, ...rest: unknown[]): Promise<unknown> =>
      host === HOST
        ? addresses.map((address) => ({ address, family: 4 }))
        : Reflect.apply(lookup, dns, [host, ...rest]);
    dns.lookup = fake as typeof dns.lookup;
    syncBuiltinESMExports();
  });
  after(() => {
    dns.lookup = lookup;
    syncBuiltinESMExports();
  });

  it('is connected to at the first one that answers', async () => {
    addresses = ['127.0.0.2', '127.0.0.1'];
    const server = new Server({ name: 'server', wire: 'native' });
    const client = new Client({ name: 'client', wire: 'native' });
    try {
      const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
      const running = server.run();
      const connection = await client.connect({ host: HOST, port, transport: 'tcp' });
      expect(connection.state).to.equal('connected');
      await client.close();
      await server.close();
      await running;
    } finally {
      await client.close();
      await server.close();
    }
  });

  it('is reported with the failure of the last one', async () => {
    addresses = ['127.0.0.2', '127.0.0.3'];
    const client = new Client({ name: 'client', wire: 'native' });
    const server = new Server({ name: 'server', wire: 'native' });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    try {
      await client.connect({ host: HOST, port, transport: 'tcp' });
      expect.fail('nobody listens there');
    } catch (error) {
      expect(error).to.be.instanceOf(TcpshmError).with.property('code', 'ERR_CONNECT');
      expect((error as TcpshmError).message)
        .to.include(HOST)
        .and.to.include('ECONNREFUSED');
    } finally {
      await client.close();
      await server.close();
    }
  });
});
