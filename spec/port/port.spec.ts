import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { openEnd } from '../../lib/channel/ringChannel.js';
import { RingPort, type RingPortOptions, RingPortPair } from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';

const ECHO = new URL('./portThread.js', import.meta.url);

describe('RingPort', () => {
  const open: { close(): void }[] = [];
  const workers: Worker[] = [];
  afterEach(async () => {
    for (const one of open.splice(0)) one.close();
    await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  });

  function pair(options?: RingPortOptions): RingPortPair {
    const made = new RingPortPair(options);
    open.push(made.port1, made.port2);
    return made;
  }

  /** A port whose messages another thread sends back. */
  function echo(options?: RingPortOptions): { readonly port: RingPort; readonly worker: Worker } {
    const { port1, port2 } = pair(options);
    const worker = new Worker(ECHO, { workerData: port2.detach() });
    workers.push(worker);
    return { port: port1, worker };
  }

  async function received(port: RingPort): Promise<unknown> {
    return (await once(port, 'message'))[0];
  }

  describe('what it carries', () => {
    const cyclic: { name: string; self?: unknown } = { name: 'cyclic' };
    cyclic.self = cyclic;
    const shared = { shared: true };
    const VALUES: Record<string, unknown> = {
      undefined: undefined,
      null: null,
      'a string': 'grüße',
      'an empty string': '',
      'a number': 1.5,
      'a large integer': 2 ** 53,
      'a BigInt of 90 bits': -(2n ** 90n),
      'a nested object': { a: [1, { b: 'c' }], d: undefined },
      'a Date': new Date(5),
      'a Map with objects': new Map<unknown, unknown>([
        ['a', { b: 1 }],
        [1, undefined],
      ]),
      'a Set': new Set(['a', 1]),
      'a RegExp': /a+/gi,
      'a typed array': new Float64Array([1.5, -2]),
      'an ArrayBuffer': new Uint8Array([1, 2, 3]).buffer,
      'an object without a prototype': Object.assign(Object.create(null), { a: 1 }),
    };
    for (const [what, value] of Object.entries(VALUES)) {
      it(`${what} arrives as it is`, async () => {
        const { port1, port2 } = pair();
        port1.postMessage(value);
        expect(await received(port2)).to.deep.equal(value);
      });
    }

    it('a value that contains itself does so on the other side', async () => {
      const { port1, port2 } = pair();
      port1.postMessage(cyclic);
      const value = (await received(port2)) as typeof cyclic;
      expect(value.name).to.equal('cyclic');
      expect(value.self).to.equal(value);
    });

    it('an object that is in two places is one object on the other side', async () => {
      const { port1, port2 } = pair();
      port1.postMessage([shared, { shared }]);
      const [first, second] = (await received(port2)) as [object, { shared: object }];
      expect(second.shared).to.equal(first).and.deep.equal(shared);
    });

    it('an error keeps its class, message and cause', async () => {
      const { port1, port2 } = pair();
      port1.postMessage(new RangeError('too far', { cause: new Error('because') }));
      const error = (await received(port2)) as RangeError;
      expect(error).to.be.instanceOf(RangeError).with.property('message', 'too far');
      expect(error.cause).to.be.instanceOf(Error).with.property('message', 'because');
    });

    it('a value is sent as it is when it is posted, also when it has to wait', async () => {
      const { port1, port2 } = pair({ capacityBytes: 4096 });
      const value = { at: 0, text: 'x'.repeat(700) };
      for (; value.at < 20; value.at++) port1.postMessage(value);
      expect(port1.writableLength).to.be.above(0);
      for (let i = 0; i < 20; i++) expect(await received(port2)).to.include({ at: i });
    });

    const { port1: messagePort } = new MessageChannel();
    after(() => messagePort.close());
    const REFUSED: Record<string, unknown> = {
      'a function': () => {},
      'a symbol': Symbol('s'),
      'an object with a method': { call() {} },
      'a function in an array in an object': { a: [[() => {}]] },
      'a symbol in a Map': new Map([['a', Symbol('s')]]),
      'a function as the cause of an error': new Error('e', { cause: () => {} }),
      'a SharedArrayBuffer': new SharedArrayBuffer(8),
      'a view of a SharedArrayBuffer': { view: new Int32Array(new SharedArrayBuffer(8)) },
      'a WeakMap': new WeakMap(),
      'a WeakSet in a Set': new Set([new WeakSet()]),
      'a WeakRef': { ref: new WeakRef({}) },
      'a promise': { soon: Promise.resolve(1) },
      'a MessagePort': { port: messagePort },
      'a boxed number': new Number(1),
      'an object with the key __proto__': JSON.parse('{"a":{"__proto__":1}}'),
    };
    for (const [what, value] of Object.entries(REFUSED)) {
      it(`${what} is refused, and nothing is sent`, async () => {
        const { port1, port2 } = pair();
        expectCode(() => port1.postMessage(value), 'ERR_CODEC');
        port1.postMessage('next');
        expect(await received(port2)).to.equal('next');
      });
    }

    it('a RingPort cannot be posted: its handle can', () => {
      const { port1, port2 } = pair();
      expectCode(() => port1.postMessage(port2), 'ERR_CODEC');
      expectCode(() => port1.postMessage(null, [port2]), 'ERR_CODEC', /a RingPort cannot be transferred/);
    });

    it('an array buffer that is transferred arrives, and is detached here', async () => {
      const { port1, port2 } = pair();
      const bytes = new Uint8Array([1, 2, 3]);
      port1.postMessage({ bytes }, [bytes.buffer]);
      expect(bytes.buffer.byteLength).to.equal(0);
      expect(await received(port2)).to.deep.equal({ bytes: new Uint8Array([1, 2, 3]) });
    });

    it('nothing is detached of what was refused', () => {
      const { port1 } = pair();
      const { buffer } = new Uint8Array(8);
      expectCode(() => port1.postMessage([buffer, () => {}], [buffer]), 'ERR_CODEC');
      expectCode(() => port1.postMessage([buffer], [buffer, messagePort]), 'ERR_CODEC', /MessagePort/);
      expect(buffer.byteLength).to.equal(8);
    });
  });

  describe('a ring that is full', () => {
    it('fails no postMessage: what has no room waits, and arrives in order', async () => {
      const { port, worker } = echo({ capacityBytes: 4096, highWaterMark: 10_000 });
      await once(worker, 'online');
      const got: unknown[] = [];
      port.on('message', (value) => got.push(value));
      let told = true;
      for (let i = 0; i < 5000; i++) told = port.postMessage({ i });
      expect(told).to.equal(false);
      expect(port.writableLength).to.be.at.least(10_000);
      await once(port, 'drain');
      expect(port.writableLength).to.equal(0);
      await until(() => got.length === 5000, 'all echoes');
      expect(got).to.deep.equal(Array.from({ length: 5000 }, (_, i) => ({ i })));
    });

    it('carries messages of many times its size, between small ones', async () => {
      const { port } = echo({ capacityBytes: 4096 });
      const large = new Uint8Array(300_000).map((_, i) => (i * 7) & 0xff);
      const posted = ['before', large, 'between', 'x'.repeat(1024), 'y'.repeat(1025), large, 'behind'];
      const got: unknown[] = [];
      port.on('message', (value) => got.push(value));
      for (const value of posted) port.postMessage(value);
      await until(() => got.length === posted.length, 'all echoes');
      expect(got).to.deep.equal(posted);
    });
  });

  describe('in the event loop', () => {
    it('wakes a thread that sleeps, and is woken by it', async () => {
      const { port } = echo();
      for (let i = 0; i < 20; i++) {
        port.postMessage(i);
        expect(await received(port)).to.equal(i);
        await sleep(10);
      }
    });

    it('leaves nothing out between two messages that are awaited one by one', async () => {
      const { port } = echo();
      for (let i = 0; i < 2000; i++) port.postMessage(i);
      const listen = async () => received(port);
      for (let i = 0; i < 2000; i++) expect(await listen()).to.equal(i);
    });

    it('lets timers and immediates have their turn while messages flow', async () => {
      const { port } = echo();
      let flows = true;
      let turns = 0;
      const turn = (): void => {
        turns++;
        if (flows) setImmediate(turn);
      };
      turn();
      port.on('message', (n) => {
        port.postMessage((n as number) + 1);
      });
      port.postMessage(0);
      await sleep(50);
      flows = false;
      expect(turns).to.be.above(5);
    });

    it('serves any number of ports at once', async () => {
      const ports = Array.from({ length: 50 }, () => pair());
      for (const { port2 } of ports) port2.on('message', (value) => port2.postMessage(value));
      for (let round = 0; round < 5; round++) {
        const answers = ports.map(({ port1 }, i) => {
          port1.postMessage(i);
          return received(port1);
        });
        expect(await Promise.all(answers)).to.deep.equal(ports.map((_, i) => i));
        await sleep(5);
      }
    });

    it('goes on after a listener has thrown, which is an uncaught exception', async () => {
      const { port1, port2 } = pair();
      const former = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      const caught = once(process, 'uncaughtException');
      const got: unknown[] = [];
      port2.on('message', (value) => {
        got.push(value);
        if (value === 1) throw new Error('thrown by a listener');
      });
      for (const value of [1, 2, 3]) port1.postMessage(value);
      try {
        expect(((await caught)[0] as Error).message).to.equal('thrown by a listener');
      } finally {
        for (const listener of former) process.on('uncaughtException', listener);
      }
      await until(() => got.length === 3, 'the messages behind it');
    });

    it('keeps messages until somebody listens, also when the other port was closed meanwhile', async () => {
      const { port1, port2 } = pair();
      port1.postMessage('kept');
      port1.close();
      await sleep(20);
      const closed = once(port2, 'close');
      expect(await received(port2)).to.equal('kept');
      await closed;
    });
  });

  describe('its listeners', () => {
    it('get events by onmessage and addEventListener', async () => {
      const { port1, port2 } = pair();
      const got: unknown[] = [];
      const kept = (event: { data: unknown }): void => {
        got.push(['added', event.data]);
      };
      const handler = (event: { data: unknown; target: unknown }): void => {
        expect(event.target).to.equal(port2);
        got.push(['onmessage', event.data]);
      };
      port2.onmessage = handler;
      expect(port2.onmessage).to.equal(handler);
      port2.addEventListener('message', kept);
      port2.addEventListener('message', kept);
      port2.addEventListener(
        'message',
        { handleEvent: (event) => got.push(['once', event.data]) },
        { once: true },
      );
      port1.postMessage(1);
      port1.postMessage(2);
      await until(() => got.length === 5, 'the events');
      port2.removeEventListener('message', kept);
      port2.onmessage = null;
      port1.postMessage(3);
      expect(await received(port2)).to.equal(3);
      expect(got).to.deep.equal([
        ['onmessage', 1],
        ['added', 1],
        ['once', 1],
        ['onmessage', 2],
        ['added', 2],
      ]);
    });

    it('ref it while there are some', () => {
      const { port1 } = pair();
      const listener = (): void => {};
      expect(port1.hasRef()).to.equal(false);
      port1.on('message', listener);
      expect(port1.hasRef()).to.equal(true);
      port1.unref();
      expect(port1.hasRef()).to.equal(false);
      port1.ref();
      port1.off('message', listener);
      expect(port1.hasRef()).to.equal(false);
    });

    it("get a 'messageerror' for what cannot be read, and the messages behind it", async () => {
      const { port1, port2 } = pair();
      const handle = port1.detach();
      const raw = openEnd(handle.memory, handle.role);
      open.push(raw);
      raw.send(new Uint8Array([0xc1, 0xff, 0xff]), 1 << 14);
      raw.send(new Uint8Array([7]), 1 << 14);
      const error = once(port2, 'messageerror');
      expect(await received(port2)).to.equal(7);
      expect((await error)[0]).to.have.property('code', 'ERR_CODEC');
    });
  });

  describe('its end', () => {
    it('comes to both, after all that was posted', async () => {
      const { port } = echo({ capacityBytes: 4096 });
      const got: unknown[] = [];
      port.on('message', (value) => got.push(value));
      port.postMessage('post and close');
      await once(port, 'close');
      expect(got).to.deep.equal(Array.from({ length: 5000 }, (_, i) => i));
      expect(port.postMessage('nobody is there')).to.equal(true);
    });

    it('comes to the port that is closed itself', async () => {
      const { port1, port2 } = pair();
      const ends = [once(port1, 'close'), once(port2, 'close')];
      port1.close();
      port1.close();
      await Promise.all(ends);
    });

    for (const how of ['terminate', 'exit', 'throw'] as const) {
      it(`comes when the thread of the other port ends (${how})`, async () => {
        const { port, worker } = echo();
        worker.on('error', () => {});
        port.postMessage('here');
        await received(port);
        const closed = once(port, 'close');
        if (how === 'terminate') await worker.terminate();
        else port.postMessage(how);
        await closed;
      });
    }
  });

  describe('in another thread', () => {
    it('is opened by its handle, with what it had not delivered and not sent', async () => {
      const { port1, port2 } = pair({ capacityBytes: 4096 });
      const large = 'x'.repeat(20_000);
      port1.postMessage(large);
      port1.postMessage('to it');
      port2.start();
      for (let i = 0; i < 500; i++) port2.postMessage(i);
      expect(port2.writableLength).to.be.above(0);
      await sleep(5);
      const again = RingPort.open(structuredClone(port2.detach()));
      open.push(again);
      const got: unknown[] = [];
      port1.on('message', (value) => got.push(value));
      expect(await received(again)).to.equal(large);
      expect(await received(again)).to.equal('to it');
      await until(() => got.length === 500, 'what waited');
      expect(got).to.deep.equal(Array.from({ length: 500 }, (_, i) => i));
    });

    it('is closed when its handle is discarded, unless it was opened', async () => {
      const { port1, port2 } = pair();
      port2.postMessage('before');
      const handle = port2.detach();
      const closed = once(port1, 'close');
      const message = received(port1);
      RingPort.discard(structuredClone(handle));
      RingPort.discard(handle);
      expect(await message).to.equal('before');
      await closed;
      const other = pair();
      const given = other.port2.detach();
      const opened = RingPort.open(given);
      open.push(opened);
      let ended = false;
      other.port1.on('close', () => {
        ended = true;
      });
      RingPort.discard(given);
      // Longer than it takes to look whether the other port is there.
      await sleep(400);
      other.port1.postMessage('it is open still');
      expect(await received(opened)).to.equal('it is open still');
      expect(ended).to.equal(false);
      expectCode(() => RingPort.discard({} as never), 'ERR_OPTION');
    });

    it('is open in one thread at a time', () => {
      const { port2 } = pair();
      const handle = port2.detach();
      open.push(RingPort.open(handle));
      expectCode(() => RingPort.open(handle), 'ERR_ALREADY_CONNECTED');
      expectCode(() => port2.detach(), 'ERR_CLOSED');
      expectCode(() => RingPort.open({} as never), 'ERR_OPTION');
    });
  });
});
