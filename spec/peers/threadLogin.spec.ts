import { expect } from 'chai';
import { helloOf } from '../support/frames.js';
import { newName, Scene } from './support.js';

/** Modules of the library, for threads that speak the protocol themselves. */
const MODULES = ['wire/threadWire', 'wire/conversation', 'session/frame', 'session/loginMessages'].map(
  (name) => new URL(`../../lib/${name}.js`, import.meta.url).href,
);
/** So that no timeout can be what ends a login. */
const NEVER_MS = 3_600_000;

/** Ways for a thread to end. */
const ENDS = [
  ['is terminated', ''],
  ['exits', 'setTimeout(() => process.exit(), 5);'],
  ['fails', "setTimeout(() => { throw new Error('on purpose'); }, 5);"],
] as const;

/** A client that says hello and, when it was offered a session, does not attach but what it is told. */
function hesitant(rest: string): string {
  return `
    const [{ connectThreads }, { Conversation }, { FrameKind }, { encodeHello }] =
      await Promise.all(workerData.modules.map((name) => import(name)));
    const talk = new Conversation(connectThreads(workerData.server), (kind) => {
      say(kind);
      ${rest}
    });
    talk.say(FrameKind.hello, encodeHello(workerData.hello));
    setInterval(() => talk.poll(), 1);`;
}

/** A server that accepts and never answers. */
function mute(rest: string): string {
  return `
    const { listenThreads } = await import(workerData.modules[0]);
    const listener = listenThreads(workerData.server);
    say('up');
    const wires = [];
    setInterval(() => {
      const wire = listener.accept();
      if (wire === null) return;
      wires.push(wire);
      say('accepted');
      ${rest}
    }, 1);`;
}

describe('a login between threads', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const [how, rest] of ENDS) {
    it(`is over at once when the thread of the client ${how} in its middle`, async () => {
      const server = scene.server({ loginTimeoutMs: NEVER_MS });
      const address = await scene.address(server, 'inproc');
      const hello = helloOf(scene.clientName, { transport: 'inproc' });
      const { worker, words } = scene.worker(hesitant(rest), {
        modules: MODULES,
        server: server.name,
        hello,
      });
      let ended = false;
      worker.on('error', () => {});
      worker.on('exit', () => {
        ended = true;
      });
      // Else the name is taken, as by any login that is under way.
      if (rest === '') {
        await scene.until(() => words.length > 0, 'the offer');
        await scene.refused(scene.client().connect(address), 'ERR_ALREADY_CONNECTED');
        await worker.terminate();
      }
      await scene.until(() => ended, 'the end of the thread');
      const connection = await scene.connect(scene.client(), address);
      expect(connection.state).to.equal('connected');
    });

    it(`is over at once when the thread of the server ${how} in its middle`, async () => {
      const name = newName('mute');
      const { worker, words } = scene.worker(mute(rest), { modules: MODULES, server: name });
      worker.on('error', () => {});
      await scene.until(() => words.length > 0, 'the server');
      const client = scene.client({ loginTimeoutMs: NEVER_MS });
      const connecting = client.connect({ transport: 'inproc', server: name });
      const refused = scene.refused(connecting, 'ERR_CONNECT', /hung up during the login/);
      await scene.until(() => words.length > 1, 'the server to accept');
      if (rest === '') await worker.terminate();
      await refused;
    });
  }
});
