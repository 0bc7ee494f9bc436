import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import type { TcpshmError } from '../../lib/errors.js';
import { GroupHost } from '../../lib/group/host.js';
import type { GroupModule } from '../../lib/group/module.js';
import { claim, discard, type Parcel, parcelOf } from '../../lib/group/parcel.js';
import type { Connection, DiagnosticEvents } from '../../lib/index.js';
import { native } from '../../lib/memory/native.js';
import type { Scene } from '../peers/support.js';
import { GroupScene, THREAD_WAYS } from './support.js';

const SETTINGS = {
  heartbeatIntervalMs: 3000,
  connectionTimeoutMs: 10_000,
  durability: 'process',
  // It makes no doorbell, as it does not sleep here.
  sharedDirectory: '/nowhere',
} as const;

/** A host in this thread, and what it has told. */
function newHost(handlers: Partial<GroupModule> = {}): {
  host: GroupHost;
  told: string[];
  parcels: Parcel[];
} {
  const told: string[] = [];
  const parcels: Parcel[] = [];
  const onMessage = (connection: Connection): void => connection.pop();
  const host = new GroupHost(0, { onMessage, ...handlers }, SETTINGS, {
    taken: (id) => told.push(`taken ${id}`),
    passed(id, parcel) {
      told.push(`passed ${id}`);
      parcels.push(parcel);
    },
    left: (id, removed, error: TcpshmError | null) =>
      told.push(`left ${id}${removed ? ', removed' : ''}${error === null ? '' : `: ${error.code}`}`),
    failed: (error) => told.push(error.message),
  });
  return { host, told, parcels };
}

describe('the host of the connections of a group', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(() => scene.end());

  function parcelled(connection: Connection): Parcel {
    const handover = connection.side.handOver(0);
    if (handover === null) throw new Error('the connection stays');
    expect(connection.state).to.equal('closed');
    return parcelOf(handover);
  }

  for (const way of THREAD_WAYS) {
    it(`goes on with a connection, passes it on, and so on, over ${way}`, async () => {
      const { remote, local, client, serverEnded, clientEnded } = await scene.pair(way, {
        onMessage: () => {},
      });
      local.send('one');
      let parcel = parcelled(remote);
      for (let id = 0; id < 5; id++) {
        const { host, told, parcels } = newHost();
        host.take(id, parcel);
        expect(host.connections.map(({ remoteName, state }) => [remoteName, state])).to.deep.equal([
          [client.name, 'connected'],
        ]);
        const [connection] = host.connections;
        local.send(`message ${id}`);
        await scene.until(() => {
          host.poll(id);
          return connection?.popped === id + 2;
        }, 'the message');
        host.pass(id);
        host.poll(id);
        expect(told).to.deep.equal([`taken ${id}`, `passed ${id}`]);
        expect([host.connections, connection?.state]).to.deep.equal([[], 'closed']);
        parcel = parcels[0] as Parcel;
      }
      expect([serverEnded, clientEnded]).to.deep.equal([[], []]);
      discard(parcel);
      await scene.until(() => clientEnded.length > 0, 'the end');
      expect(clientEnded[0]?.reason).to.equal('peer ended');
    });

    it(`counts on with a connection, and tells what it has counted itself, over ${way}`, async () => {
      const { remote, local } = await scene.pair(way);
      local.send('one');
      await scene.until(() => remote.popped === 1, 'the message');
      const moved: unknown[] = [];
      const hear = (event: unknown): void => {
        const { connection, ...rest } = event as DiagnosticEvents<Connection>['tcpshm:connected'];
        moved.push(connection.remoteName, rest.role, rest.moved);
      };
      subscribe('tcpshm:connected', hear);
      const { host } = newHost();
      try {
        host.take(1, parcelled(remote));
      } finally {
        unsubscribe('tcpshm:connected', hear);
      }
      expect(moved).to.deep.equal([remote.remoteName, 'server', true]);
      const connection = host.connections[0] as Connection;
      expect(connection.stats()).to.include({
        receivedMessages: 1,
        receivedBytes: 16,
        logins: 1,
        resumes: 0,
      });
      local.send('two');
      await scene.until(() => {
        host.poll(1);
        return connection.popped === 2;
      }, 'the other message');
      expect(connection.stats()).to.include({ receivedMessages: 2, receivedBytes: 32, logins: 1 });
      expect(host.report).to.deep.include({ connections: 1, sleeps: 0, wakeups: 0 });
      const own = { receivedMessages: 1, receivedBytes: 16, sentMessages: 0, logins: 0, resumes: 0 };
      expect(host.report.total).to.include(own);
      connection.close();
      expect(host.report.total).to.include(own);
      expect(host.report.connections).to.equal(0);
    });

    it(`has told of the end of a link when it was asked to look, and not before, over ${way}`, async () => {
      const ended: string[] = [];
      const { host, told } = newHost({ onDisconnect: (_, reason) => ended.push(reason) });
      const { remote, client } = await scene.pair(way);
      host.take(7, parcelled(remote));
      host.look(7, 0);
      await client.close();
      expect(told).to.deep.equal(['taken 7']);
      await scene.until(() => {
        host.look(7, 0);
        return told.length > 1;
      }, 'the end');
      expect([told, ended]).to.deep.equal([['taken 7', 'left 7'], ['closed by peer']]);
      host.look(7, 0);
      host.pass(7);
      host.poll(1);
      expect(told).to.have.length(2);
    });

    it(`says so when a connection cannot be opened, and leaves nothing of it, over ${way}`, async () => {
      const { host, told } = newHost();
      const { remote, clientEnded } = await scene.pair(way);
      const parcel = parcelled(remote);
      const { handover } = parcel;
      host.take(1, { ...parcel, handover: { ...handover, client: 'somebody-else' } });
      expect(told).to.deep.equal(['left 1: ERR_SEGMENT']);
      expect(host.connections).to.deep.equal([]);
      discard(parcel);
      await scene.until(() => clientEnded.length > 0, 'the end');
      expect(clientEnded[0]?.reason).to.equal('peer ended');
    });
  }

  it('tells that a session in memory was removed', async () => {
    for (const remove of [true, false]) {
      const { host, told } = newHost({
        onConnection: (connection) => connection.close({ remove }),
      });
      const { remote, client, server } = await scene.pair('inproc');
      host.take(1, parcelled(remote));
      expect(told).to.deep.equal(['taken 1', `left 1${remove ? ', removed' : ''}`]);
      await client.close();
      await server.close();
    }
  });

  it('closes all, and is closed itself', async () => {
    const { host, told } = newHost();
    const { remote, clientEnded } = await scene.pair('shm');
    host.take(3, parcelled(remote));
    host.close();
    expect([host.closed, told]).to.deep.equal([true, ['taken 3', 'left 3']]);
    await scene.until(() => clientEnded.length > 0, 'the end');
    expect(clientEnded[0]?.reason).to.equal('closed by peer');
  });

  it('leaves a descriptor alone that somebody else has claimed', async () => {
    const { remote } = await scene.pair('tcp native');
    const parcel = parcelled(remote);
    expect([claim(parcel), claim(parcel)]).to.deep.equal([true, false]);
    discard(parcel);
    const { link } = parcel.handover;
    if (link.kind !== 'wire') throw new Error('it has none');
    const wire = native().adopt(link.descriptor);
    expect(wire.receive(new Uint8Array(1), 0, 1), 'open, and nothing to receive').to.equal(0);
    wire.close();
  });
});
