import { expect } from 'chai';
import fc from 'fast-check';
import type { Connection, ProtocolOption } from '../../lib/index.js';
import { agreeVersion } from '../../lib/session/protocol.js';
import { Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';

const v = (newest: number, oldest = newest): ProtocolOption => ({ name: 'shop', version: newest, oldest });

describe('the protocol in a login', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of WAYS) {
    describe(`over ${way}`, () => {
      /** Both sides of a connection of these. */
      async function connect(client?: ProtocolOption, server?: ProtocolOption): Promise<Connection[]> {
        const remote: Connection[] = [];
        const accepting = scene.server({
          ...scene.wire(way),
          ...(server && { protocol: server }),
          onConnection: (connection) => remote.push(connection),
        });
        const asking = scene.client({ ...scene.wire(way), ...(client && { protocol: client }) });
        const local = await scene.connect(asking, await scene.address(accepting, way));
        await scene.until(() => remote.length === 1, 'the server to have it');
        return [local, ...remote];
      }

      for (const [what, client, server, version] of [
        ['the newest version that both have', v(5, 2), v(3, 1), 3],
        ['the only one', v(2), v(2), 2],
        ['none where the client says nothing', undefined, v(2), null],
        ['none where the server says nothing', v(2), undefined, null],
      ] as const) {
        it(`gives both sides ${what}`, async () => {
          const versions = (await connect(client, server)).map(({ protocolVersion }) => protocolVersion);
          expect(versions).to.deep.equal([version, version]);
        });
      }

      it('is refused with both ranges where they have no version in common', async () => {
        await scene.refused(
          connect(v(3, 2), v(7, 4)),
          'ERR_PROTOCOL_VERSION',
          /client speaks 'shop' versions 2 to 3, the server 'shop' versions 4 to 7/,
        );
      });

      it('is refused where the names differ', async () => {
        await scene.refused(
          connect(v(1), { name: 'bank', version: 1 }),
          'ERR_PROTOCOL_VERSION',
          /client speaks 'shop' version 1, the server 'bank' version 1/,
        );
      });
    });
  }

  it('has one of several versions refused by a server that takes the others', async () => {
    const server = scene.server({ protocol: v(3, 2) });
    const address = await scene.address(server, 'tcp native');
    const outcomes: unknown[] = [];
    for (const version of [1, 2, 3]) {
      const client = scene.client({ name: `${scene.clientName}-${version}`, protocol: v(version) });
      outcomes.push(
        await scene.connect(client, address).then(
          ({ protocolVersion }) => protocolVersion,
          ({ code }: { code: string }) => code,
        ),
      );
    }
    expect(outcomes).to.deep.equal(['ERR_PROTOCOL_VERSION', 2, 3]);
    expect(server.members).to.have.length(2);
  });

  it('may have another version after the next login', async () => {
    const server = scene.server({ protocol: v(9, 1) });
    const address = await scene.address(server, 'shm');
    const popped: (number | null)[] = [];
    for (const version of [4, 7]) {
      const client = scene.client({ protocol: v(version) });
      popped.push((await scene.connect(client, address)).protocolVersion);
      await client.close();
      await scene.until(() => server.members.length === 0, 'the server to see it');
    }
    expect(popped).to.deep.equal([4, 7]);
  });

  it('must have a name and versions from 1', () => {
    for (const protocol of [
      null,
      'shop',
      {},
      { name: '', version: 1 },
      { name: 'x'.repeat(64), version: 1 },
      { name: 'x', version: 0 },
      { name: 'x', version: 1.5 },
      { name: 'x', version: 2 ** 32 },
      { name: 'x', version: 1, oldest: 2 },
    ]) {
      expectCode(() => scene.client({ protocol: protocol as ProtocolOption }), 'ERR_OPTION', /protocol/);
    }
  });
});

describe('the version that two ranges agree on', () => {
  it('is in both of them, and the newest such, if there is one', () => {
    const range = fc
      .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }))
      .map(([a, b]) => ({ name: 'x', oldest: Math.min(a, b), newest: Math.max(a, b) }));
    fc.assert(
      fc.property(range, range, (one, other) => {
        const common = Array.from({ length: 21 }, (_, i) => i).filter((i) =>
          [one, other].every(({ oldest, newest }) => i >= oldest && i <= newest),
        );
        expect(agreeVersion(one, other)).to.equal(common.at(-1) ?? null);
        expect(agreeVersion(other, one)).to.equal(common.at(-1) ?? null);
      }),
    );
  });
});
