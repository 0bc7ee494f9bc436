import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ConnectOptions } from '../../lib/index.js';
import { controlFrame, FrameKind } from '../../lib/session/frame.js';
import { decodeHello, encodeWelcome, type Hello, type Welcome } from '../../lib/session/loginMessages.js';
import { segmentFileName } from '../../lib/session/names.js';
import { FRESH_STATE } from '../../lib/session/state.js';
import { framesOf } from '../support/frames.js';
import { Scene } from './support.js';

const SESSION = '0123456789abcdef';

describe('a server that offers another file than the segment of the session', () => {
  let scene: Scene;
  /** What the client has said that it wants. */
  let hellos: Hello[];
  beforeEach(() => {
    scene = new Scene();
    hellos = [];
  });
  afterEach(() => scene.end());

  /** A server that welcomes whoever comes to a session in the file of this path. */
  async function offering(path: string, fields: Partial<Welcome> = {}): Promise<ConnectOptions> {
    const welcome: Welcome = {
      server: scene.serverName,
      transport: 'shm',
      sessionId: SESSION,
      clientToServer: 4096,
      serverToClient: 4096,
      protocolVersion: 0,
      path,
      state: FRESH_STATE,
      reply: new Uint8Array(0),
      ...fields,
    };
    const { port } = await scene.listener((socket) => {
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        const [hello] = framesOf(received);
        if (hello?.kind !== FrameKind.hello || hellos.length > 0) return;
        hellos.push(decodeHello(hello.payload));
        socket.write(controlFrame(FrameKind.welcome, encodeWelcome(welcome)));
      });
    });
    return { port };
  }

  const expected = (): string => segmentFileName(scene.clientName, scene.serverName);

  const others: readonly (readonly [string, (scene: Scene) => string])[] = [
    ['a file of the user', ({ folders }) => join(folders.directory, 'notes')],
    ['a device', () => '/dev/zero'],
    [
      'a path that leads out of its folder',
      ({ folders }) => `${folders.directory}/${expected()}/../../notes`,
    ],
    ['a name that ends before the right one', ({ folders }) => `${folders.directory}/notes\0/${expected()}`],
    ['a name that is a part of the right one', ({ folders }) => join(folders.directory, `x${expected()}`)],
    ['a folder', ({ folders }) => `${folders.directory}/${expected()}/`],
    [
      'the journal',
      ({ folders }) => join(folders.directory, expected().replace('.segment', '.client.journal')),
    ],
    ['no file', () => ''],
  ];
  for (const [what, pathOf] of others) {
    for (const transport of ['shm', 'auto'] as const) {
      it(`is refused with what was expected and what came: ${what} (${transport})`, async () => {
        const notes = join(scene.folders.directory, 'notes');
        writeFileSync(notes, 'x'.repeat(65_536));
        const { mtimeMs } = statSync(notes);
        const path = pathOf(scene);
        const address = await offering(path);
        const error = await scene.refused(
          scene.client().connect({ ...address, transport } as ConnectOptions),
          'ERR_PROTOCOL',
          /expected the server .* not opened: connect with transport 'tcp'/,
        );
        expect(error.message).to.include(`'${expected()}'`).and.to.include(JSON.stringify(path));
        expect(hellos[0]?.client).to.equal(scene.clientName);
        expect(readFileSync(notes, 'latin1')).to.equal('x'.repeat(65_536));
        expect(statSync(notes).mtimeMs).to.equal(mtimeMs);
      });
    }
  }

  it('is refused also when it is a session of the same client with another server', async () => {
    const server = scene.server({ name: `${scene.serverName}-honest` });
    const connection = await scene.connect(scene.client(), await scene.address(server, 'shm'));
    const file = scene.files().find((path) => path.endsWith('.segment')) as string;
    const before = readFileSync(file);
    const { sessionId } = connection.side.mine;
    const address = await offering(file, { sessionId });
    const other = scene.client();
    await scene.refused(other.connect({ ...address, transport: 'shm' } as ConnectOptions), 'ERR_PROTOCOL');
    expect(connection.state).to.equal('connected');
    expect(readFileSync(file).length).to.equal(before.length);
  });

  it('may lay the segment anywhere: what has its name is opened, and looked at', async () => {
    const folder = join(scene.folders.directory, 'elsewhere');
    const path = join(folder, expected());
    const absent = await offering(path);
    const client = scene.client();
    await scene.refused(
      client.connect({ ...absent, transport: 'shm' } as ConnectOptions),
      'ERR_FILE',
      /is not on this host/,
    );
    hellos = [];
    const server = scene.server({ name: `${scene.serverName}-honest` });
    await scene.connect(scene.client(), await scene.address(server, 'shm'));
    mkdirSync(folder, { mode: 0o700 });
    cpSync(scene.files().find((one) => one.endsWith('.segment')) as string, path);
    await scene.refused(
      client.connect({ ...(await offering(path)), transport: 'shm' } as ConnectOptions),
      'ERR_SEGMENT',
    );
  });
});
