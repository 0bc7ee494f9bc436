import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { FrameKind } from '../../lib/session/frame.js';
import { Seal } from '../../lib/session/seal.js';
import { expectCode } from '../support/failure.js';

const KEY = randomBytes(32);
const TEXT = Buffer.from('whoever this is for');
const NONE = new Uint8Array(0);

/** Both sides of a login after claim and challenge, which may differ in what they know or have heard. */
function sides(server: { key?: Uint8Array; binding?: Uint8Array; claim?: string; challenge?: string } = {}) {
  const one = new Seal(KEY, 'client', NONE);
  const other = new Seal(server.key ?? KEY, 'server', server.binding ?? NONE);
  one.note('client', FrameKind.claim, Buffer.from('claim'));
  one.note('server', FrameKind.challenge, Buffer.from('challenge'));
  other.note('client', FrameKind.claim, Buffer.from(server.claim ?? 'claim'));
  other.note('server', FrameKind.challenge, Buffer.from(server.challenge ?? 'challenge'));
  return { client: one, server: other };
}

function refuses(open: () => unknown): void {
  expectCode(open, 'ERR_AUTHENTICATION', /did not prove/);
}

describe('a seal', () => {
  it('is opened by whoever has the same key, in both directions and again', () => {
    const { client, server } = sides();
    for (let i = 0; i < 3; i++) {
      const opened = server.open(FrameKind.hello, client.seal(FrameKind.hello, TEXT));
      expect(Buffer.from(opened.subarray(0, TEXT.length)).equals(TEXT)).to.equal(true);
      client.open(FrameKind.welcome, server.seal(FrameKind.welcome, NONE));
    }
  });

  it('keeps the length of a frame a multiple of 8', () => {
    for (let length = 0; length < 20; length++) {
      expect(sides().client.seal(FrameKind.hello, new Uint8Array(length)).length % 8).to.equal(0);
    }
  });

  it('is not opened with another key', () => {
    const { client, server } = sides({ key: randomBytes(32) });
    refuses(() => server.open(FrameKind.hello, client.seal(FrameKind.hello, TEXT)));
  });

  it('is not opened after another claim, another challenge, or over another connection of TLS', () => {
    for (const other of [{ claim: 'Claim' }, { challenge: 'Challenge' }, { binding: randomBytes(32) }]) {
      const { client, server } = sides(other);
      refuses(() => server.open(FrameKind.hello, client.seal(FrameKind.hello, TEXT)));
    }
  });

  it('is not opened as a message of another kind', () => {
    const { client, server } = sides();
    refuses(() => server.open(FrameKind.attach, client.seal(FrameKind.hello, TEXT)));
  });

  it('is not opened when any bit was changed', () => {
    const sealed = sides().client.seal(FrameKind.hello, TEXT);
    for (let i = 0; i < sealed.length; i++) {
      const { server } = sides();
      const changed = Uint8Array.from(sealed);
      changed[i] = (changed[i] as number) ^ (1 << (i % 8));
      refuses(() => server.open(FrameKind.hello, changed));
    }
  });

  it('is not opened when it was cut or made longer', () => {
    const sealed = sides().client.seal(FrameKind.hello, TEXT);
    for (const length of [0, 8, 24, 32, sealed.length - 8]) {
      refuses(() => sides().server.open(FrameKind.hello, sealed.subarray(0, length)));
    }
    refuses(() => sides().server.open(FrameKind.hello, Buffer.concat([sealed, new Uint8Array(8)])));
  });

  it('is not opened by the side that made it', () => {
    const { client } = sides();
    const sealed = client.seal(FrameKind.hello, TEXT);
    refuses(() => sides().client.open(FrameKind.hello, sealed));
  });

  it('is not opened twice, nor out of order', () => {
    const { client, server } = sides();
    const first = client.seal(FrameKind.hello, TEXT);
    const second = client.seal(FrameKind.hello, TEXT);
    expect(Buffer.compare(first, second)).to.not.equal(0);
    server.open(FrameKind.hello, first);
    refuses(() => server.open(FrameKind.hello, first));
    refuses(() => sides().server.open(FrameKind.hello, second));
  });
});
