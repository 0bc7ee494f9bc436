import { expect } from 'chai';
import { type CodecName, type Connection, json, msgpack, RingChannel } from '../../lib/index.js';
import { Scene } from '../peers/support.js';
import { expectCode } from '../support/failure.js';

describe('the codec in a login', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of ['inproc', 'shm', 'tcp native'] as const) {
    describe(`over ${way}`, () => {
      async function connect(
        client: CodecName | undefined,
        server: CodecName | undefined,
      ): Promise<Connection> {
        const address = await scene.address(scene.server({ ...(server && { codec: server }) }), way);
        return scene.connect(scene.client({ ...(client && { codec: client }) }), address);
      }

      it('is no obstacle when both say the same, or one says nothing', async () => {
        const later = { name: 'msgpack', version: 1 };
        for (const [client, server] of [
          [msgpack(), later],
          [msgpack(), undefined],
          [undefined, msgpack()],
        ] as const) {
          expect((await connect(client, server)).state).to.equal('connected');
          await scene.end();
          scene = new Scene();
        }
      });

      it('is refused with both names when they differ', async () => {
        const address = await scene.address(scene.server({ codec: json() }), way);
        const client = scene.client({ codec: msgpack() });
        await scene.refused(
          client.connect(address),
          'ERR_CODEC',
          /client with 'msgpack@1'.*server with 'json@1'/,
        );
      });

      it('is refused when only the versions differ', async () => {
        const address = await scene.address(scene.server({ codec: { name: 'own', version: 2 } }), way);
        const client = scene.client({ codec: { name: 'own', version: 1 } });
        await scene.refused(client.connect(address), 'ERR_CODEC', /'own@1'.*'own@2'/);
      });
    });
  }

  it('is in the handle of a RingChannel', () => {
    const channel = new RingChannel({ codec: msgpack() });
    expectCode(
      () => RingChannel.open(channel.remote, { codec: json() }),
      'ERR_CODEC',
      /'json@1'.*'msgpack@1'/,
    );
    RingChannel.open(channel.remote).close();
    RingChannel.open(channel.remote, { codec: msgpack() }).close();
    const silent = new RingChannel();
    RingChannel.open(silent.remote, { codec: json() }).close();
    channel.local.close();
    silent.local.close();
  });

  it('must have a name and a version', () => {
    for (const codec of [null, 'msgpack', {}, { name: '', version: 1 }, { name: 'a', version: 0.5 }]) {
      expectCode(() => scene.client({ codec: codec as CodecName }), 'ERR_OPTION', /codec/);
    }
    expectCode(
      () => scene.server({ codec: { name: 'x'.repeat(200), version: 1 } }),
      'ERR_OPTION',
      /128 bytes/,
    );
  });
});
