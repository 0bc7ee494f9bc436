import { join } from 'node:path';
import { expect } from 'chai';
import { native } from '../../lib/memory/native.js';
import { cleanUp, connectedPair, newFolder } from './support.js';

type Loose = Record<string, (...args: unknown[]) => unknown>;

const STRANGE: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  2 ** 64,
  10n,
  '',
  'x',
  'x\0y',
  Symbol('s'),
  {},
  [],
  [1],
  ['0'],
  () => 1,
  new Uint8Array(4),
  new Uint8Array(0),
  new Int8Array(4),
  new Uint8ClampedArray(4),
  new Float64Array(4),
  new BigInt64Array(4),
  new Uint32Array(4),
  new DataView(new ArrayBuffer(4)),
  new ArrayBuffer(4),
  new SharedArrayBuffer(4),
  new Date(0),
  /r/,
  new Proxy({}, {}),
  new Proxy(new Uint8Array(4), {}),
];

describe('misuse of the native module', () => {
  after(cleanUp);

  it('of types throws TypeError', async () => {
    const n = native() as unknown as Loose;
    const path = join(newFolder(), 'file');
    const mapped = native().mapFile(path, { create: true, sizeBytes: 64 });
    const file = mapped as unknown as Loose;
    const [near, far] = await connectedPair();
    const socket = near as unknown as Loose;
    const epoll = native().createEpoll() as unknown as Loose;
    const doorbell = native().createDoorbell(`${path}-bell`) as unknown as Loose;
    const bytes = new Uint8Array(8);
    const pending = Int32Array.of(-1);
    const cases: [Loose, string, unknown[]][] = [
      [n, 'mapFile', []],
      [n, 'mapFile', [path]],
      [n, 'mapFile', [path, null]],
      [n, 'mapFile', [path, {}]],
      [n, 'mapFile', [path, { create: true }]],
      [n, 'mapFile', [path, { create: 1, sizeBytes: 1 }]],
      [n, 'mapFile', [path, { create: false, sizeBytes: '1' }]],
      [n, 'mapFile', ['', { create: false, sizeBytes: 1 }]],
      [n, 'mapFile', ['a\0b', { create: false, sizeBytes: 1 }]],
      [n, 'listenTcp', ['127.0.0.1']],
      [n, 'listenTcp', [1, 2, 3]],
      [n, 'listenUnix', ['\0abstract', 1]],
      [n, 'listenUnix', [path]],
      [n, 'connectTcp', ['127.0.0.1', '80']],
      [n, 'connectUnix', []],
      [n, 'connectUnix', ['']],
      [n, 'adopt', ['1']],
      [n, 'setAffinity', [0]],
      [n, 'setAffinity', [['0']]],
      [n, 'syncFolder', []],
      [n, 'syncFolder', ['']],
      [n, 'syncFolder', ['a\0b']],
      [n, 'createDoorbell', []],
      [n, 'createDoorbell', ['']],
      [n, 'createDoorbell', [1]],
      [n, 'openDoorbell', []],
      [n, 'openDoorbell', ['a\0b']],
      [n, 'exchangeAtExit', []],
      [n, 'exchangeAtExit', [new Int32Array(1), '0', 0, 0]],
      [file, 'tellLoss', []],
      [file, 'tellLoss', ['0']],
      [file, 'lock', []],
      [file, 'unlock', ['0', 1]],
      [file, 'isLocked', [0, 1n]],
      [file, 'sync', []],
      [file, 'sync', [pending]],
      [file, 'sync', [pending, {}]],
      [file, 'sync', [[-1], () => {}]],
      [file, 'sync', [pending.buffer, () => {}]],
      [file, 'sync', [new Uint32Array(1), () => {}]],
      [file, 'sync', [new Int32Array(mapped.buffer, 4, 1).fill(-1), () => {}]],
      [socket, 'send', []],
      [socket, 'send', ['text', 0, 1]],
      [socket, 'send', [bytes]],
      [socket, 'send', [bytes, 0]],
      [socket, 'send', [bytes, 0, 1, null, 0, 0]],
      [socket, 'send', [bytes, 0, 1, bytes]],
      [socket, 'send', [bytes, 0, 1, bytes, 0, 1, [], 0, 1]],
      [socket, 'receive', []],
      [socket, 'receive', [new Int8Array(8), 0, 1]],
      [socket, 'receive', [new ArrayBuffer(8), 0, 1]],
      [socket, 'receive', [bytes, '0', 1]],
      [socket, 'setNoDelay', [1]],
      [socket, 'setKeepAlive', []],
      [socket, 'setKeepAlive', [true]],
      [socket, 'setUserTimeout', []],
      [epoll, 'add', []],
      [epoll, 'add', [1, 2]],
      [epoll, 'modify', ['1', 2, 3]],
      [epoll, 'remove', []],
      [epoll, 'wait', []],
      [epoll, 'wait', [new Int32Array(4), 0]],
      [epoll, 'wait', [new Uint32Array(4)]],
      [epoll, 'watch', []],
      [epoll, 'watch', [{}]],
      [doorbell, 'ring', []],
      [doorbell, 'ring', ['1']],
      [doorbell, 'ring', [1n]],
      [doorbell, 'answer', []],
      [doorbell, 'answer', [[0]]],
      [doorbell, 'answer', [new Int32Array(4)]],
    ];
    for (const [receiver, name, args] of cases) {
      expect(() => receiver[name]?.(...args), `${name}(${args.length} arguments)`)
        .to.throw(TypeError)
        .with.property('code', 'ERR_INVALID_ARG_TYPE');
    }
    for (const object of [file, socket, epoll, doorbell, far]) (object as { close?(): void }).close?.();
  });

  it('of ranges throws RangeError and moves no byte', async () => {
    const [near, far] = await connectedPair();
    const bytes = new Uint8Array(8);
    for (const [start, length] of [
      [0, 9],
      [8, 1],
      [9, 0],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [0, Number.POSITIVE_INFINITY],
      [2 ** 53, 1],
      [4, 2 ** 64],
      [2 ** 32, 1],
    ] as const) {
      expect(() => near.send(bytes, start, length), `${start}, ${length}`).to.throw(RangeError);
      expect(() => near.send(bytes, 0, 1, bytes, start, length)).to.throw(RangeError);
      expect(() => near.receive(bytes, start, length)).to.throw(RangeError);
      expect(() => near.sender(bytes)(start, length)).to.throw(RangeError);
      expect(() => near.receiver(bytes)(start, length)).to.throw(RangeError);
    }
    expect(far.receive(bytes, 0, 8)).to.equal(0);
    for (const port of [-1, 65536, 1.5, Number.NaN]) {
      expect(() => native().connectTcp('127.0.0.1', port)).to.throw(RangeError);
      expect(() => native().listenTcp('127.0.0.1', port, 1)).to.throw(RangeError);
    }
    expect(() => native().listenTcp('127.0.0.1', 0, -1)).to.throw(RangeError);
    expect(() => native().adopt(-1)).to.throw(RangeError);
    near.close();
    far.close();
  });

  it('of a detached array throws RangeError', async () => {
    const [near, far] = await connectedPair();
    const file = native().mapFile(join(newFolder(), 'file'), { create: true, sizeBytes: 64 });
    const bytes = new Uint8Array(file.buffer);
    const tokens = new Uint32Array(file.buffer);
    const moves = [near.sender(bytes), near.receiver(bytes)];
    file.close();
    const given = new Uint8Array(64);
    moves.push(near.sender(given), near.receiver(given), near.sender(bytes), near.receiver(bytes));
    structuredClone(given, { transfer: [given.buffer] });
    for (const move of moves) expect(() => move(0, 1)).to.throw(RangeError);
    expect(() => near.send(bytes, 0, 1)).to.throw(RangeError);
    expect(() => near.receive(bytes, 0, 1)).to.throw(RangeError);
    const doorbell = native().createDoorbell(join(newFolder(), 'bell'));
    doorbell.ring(1);
    expect(() => doorbell.answer(tokens)).to.throw(RangeError);
    doorbell.close();
    near.close();
    far.close();
  });

  it('of receivers throws TypeError', async () => {
    const [near, far] = await connectedPair();
    const file = native().mapFile(join(newFolder(), 'file'), { create: true, sizeBytes: 64 });
    const epoll = native().createEpoll();
    const doorbell = native().createDoorbell(join(newFolder(), 'bell'));
    const prototypes = [file, near, epoll, doorbell].map((object) => Object.getPrototypeOf(object));
    for (const prototype of prototypes) {
      for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
        if (name === 'constructor') continue;
        const method = (value ?? get) as () => unknown;
        const strangers = [undefined, null, 1, {}, prototype, Object.create(prototype), ...STRANGE];
        const others = [file, near, epoll, doorbell].filter(
          (object) => Object.getPrototypeOf(object) !== prototype,
        );
        for (const receiver of [...strangers, ...others]) {
          expect(() => Reflect.apply(method, receiver, []), name).to.throw(TypeError);
        }
        // Not even another class's object that pretends.
        for (const receiver of others) {
          const own = Object.getPrototypeOf(receiver);
          Object.setPrototypeOf(receiver, prototype);
          expect(() => Reflect.apply(method, receiver, []), name).to.throw(TypeError);
          Object.setPrototypeOf(receiver, own);
        }
      }
      expect(() => new prototype.constructor()).to.throw(TypeError);
      expect(() => prototype.constructor()).to.throw(TypeError);
      expect(() => Reflect.construct(prototype.constructor, [], Object)).to.throw(TypeError);
    }
    near.close();
    far.close();
    file.close();
    epoll.close();
    doorbell.close();
  });

  it('of every call with every strange value throws or returns, and never crashes', async () => {
    const [near, far] = await connectedPair();
    const file = native().mapFile(join(newFolder(), 'file'), { create: true, sizeBytes: 64 });
    const epoll = native().createEpoll();
    const doorbell = native().createDoorbell(join(newFolder(), 'bell'));
    // Left out: what would act on descriptors that belong to the test runner, or wait.
    const skipped = new Set([
      'adopt',
      'release',
      'close',
      'constructor',
      'exchangeAtExit',
      'membarrier',
      'setAffinity',
      'wait',
    ]);
    let calls = 0;
    for (const object of [native(), file, near, epoll, doorbell]) {
      const prototype = object === native() ? object : Object.getPrototypeOf(object);
      for (const name of Object.getOwnPropertyNames(prototype)) {
        if (skipped.has(name)) continue;
        const method = (object as unknown as Loose)[name];
        if (typeof method !== 'function') continue;
        for (const a of STRANGE) {
          for (const b of STRANGE) {
            for (const args of [
              [a],
              [a, b],
              [a, b, 1],
              [new Uint8Array(4), a, b],
              [a, 0, b],
              [a, 0, 1, b, 0, 1],
            ]) {
              calls++;
              try {
                const result = method.apply(object, args);
                if (typeof result === 'function') {
                  calls++;
                  result(a, b);
                }
                if (result !== null && typeof result === 'object') (result as { close?(): void }).close?.();
              } catch (error) {
                expect(error).to.be.instanceOf(Error);
              }
            }
          }
        }
      }
    }
    expect(calls).to.be.greaterThan(50_000);
    for (const object of [near, far, file, epoll, doorbell]) object.close();
  });

  it('by options whose getters throw passes their error on', () => {
    const options = {
      get create(): boolean {
        throw new Error('mine');
      },
      sizeBytes: 1,
    };
    expect(() => native().mapFile('/dev/shm/none', options)).to.throw('mine');
  });

  it('by arrays that change while they are read is harmless', () => {
    const cpus: number[] = [];
    Object.defineProperty(cpus, 0, {
      get() {
        cpus.length = 0;
        return 'none';
      },
      configurable: true,
    });
    expect(() => native().setAffinity(cpus)).to.throw(TypeError);
  });
});
