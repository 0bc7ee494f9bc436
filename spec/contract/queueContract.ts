import { expect } from 'chai';
import fc from 'fast-check';
import type { Connection, Message } from '../../lib/index.js';
import { alignedLength, HEADER_BYTES } from '../../lib/ring/layout.js';
import { expectCode, thrownBy } from '../support/failure.js';
import { fault, fill, sizeOf, Traffic, typeOf } from '../support/traffic.js';
import { until, Watchdog } from '../support/until.js';

/** Two peers that share two queues, whatever lies between them. */
export interface Pair {
  /** The two sides. A side that was opened again is another object. */
  readonly a: Connection;
  readonly b: Connection;
  /** Lets both sides work for a moment. */
  turn(): Promise<void>;
  /** Ends what is between the two, by a cut where there is something to cut, else by closing one side. */
  disconnect(): Promise<void>;
  /** Brings the two together again. */
  resume(): Promise<void>;
  /** Closes a side, so that nothing of it is left but its session, and opens it anew. */
  reopen(side: 'a' | 'b'): Promise<void>;
  close(): Promise<void>;
}

/** How a kind of pair differs from others, apart from how it is opened. */
export interface Traits {
  /** Sides whose session outlives them. */
  readonly reopen: readonly ('a' | 'b')[];
  /** Random messages in each direction. */
  readonly messages: number;
  /** Runs of each property. */
  readonly runs: number;
}

const CAPACITY = 4096;
const LARGEST = CAPACITY / 4;

/** What a queue does, in words: the same for all that lies between the peers. */
export function queueContract(
  name: string,
  open: (capacityBytes: number) => Promise<Pair>,
  traits: Traits,
): void {
  describe(`the queue contract: ${name}`, () => {
    let pair: Pair;

    beforeEach(async () => {
      pair = await open(CAPACITY);
    });

    afterEach(async () => {
      await pair.close();
    });

    const turn = (): Promise<void> => pair.turn();

    /** The next message of a side, once it is there. */
    const arrive = async (side: 'a' | 'b'): Promise<Message> => {
      let message = pair[side].front();
      if (message !== null) return message;
      await until(
        () => {
          message = pair[side].front();
          return message !== null;
        },
        `a message at ${side}`,
        turn,
      );
      return message as unknown as Message;
    };

    /** Room for a message, once there is some. */
    const room = async (side: 'a' | 'b', size: number): Promise<Message> => {
      let message = pair[side].alloc(size);
      if (message !== null) return message;
      await until(
        () => {
          message = pair[side].alloc(size);
          return message !== null;
        },
        `room for ${size} bytes at ${side}`,
        turn,
      );
      return message as unknown as Message;
    };

    /** Traffic of `end` messages each way, until so many were popped by both. */
    const trafficTo = async (popped: number, end: number): Promise<void> => {
      const a = new Traffic(pair.a, 0, end, end);
      const b = new Traffic(pair.b, 1, end, end);
      await until(
        () => pair.a.popped + pair.b.popped >= popped,
        'traffic',
        () => {
          a.step();
          b.step();
          return turn();
        },
      );
    };

    /** Long enough for anything that was sent to arrive. */
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await turn();
    };

    const expectMessage = (message: Message, n: number, size: number): void => {
      expect(fault(message, n, size)).to.equal(null);
    };

    describe('order and contents', () => {
      it('gives messages in the order in which they were pushed, with their types', async () => {
        for (let n = 0; n < 20; n++) {
          fill(pair.a.alloc(n) as Message, n);
          pair.a.push();
        }
        for (let n = 0; n < 20; n++) {
          expectMessage(await arrive('b'), n, n);
          pair.b.pop();
        }
        expect(pair.b.front()).to.equal(null);
      });

      it('moves both directions apart from each other', async () => {
        expect(pair.a.send('from a', 7)).to.equal(true);
        expect(pair.b.send('from b', 8)).to.equal(true);
        const atB = await arrive('b');
        expect([atB.text(), atB.type]).to.deep.equal(['from a', 7]);
        const atA = await arrive('a');
        expect([atA.text(), atA.type]).to.deep.equal(['from b', 8]);
        pair.a.pop();
        expect((pair.b.front() as Message).text()).to.equal('from a');
        expect(pair.a.front()).to.equal(null);
      });

      it('carries every size from 0 to the largest', async () => {
        expect(pair.a.maxMessageBytes).to.equal(LARGEST);
        let next = 0;
        for (let size = 0; size <= LARGEST; size++) {
          for (;;) {
            const message = pair.a.alloc(size);
            if (message !== null) {
              expect(message.size).to.equal(size);
              fill(message, size);
              pair.a.push();
              break;
            }
            if (next === size) {
              await turn();
              continue;
            }
            expectMessage(await arrive('b'), next, next);
            pair.b.pop();
            next++;
          }
        }
        for (; next <= LARGEST; next++) {
          expectMessage(await arrive('b'), next, next);
          pair.b.pop();
        }
      });

      it('gives a new message type 1', async () => {
        pair.a.alloc(0);
        pair.a.push();
        expect((await arrive('b')).type).to.equal(1);
      });

      it('carries the lowest and the highest type', async () => {
        for (const type of [1, 65535]) {
          (pair.a.alloc(1) as Message).type = type;
          pair.a.push();
          expect((await arrive('b')).type).to.equal(type);
          pair.b.pop();
        }
      });

      it('sends bytes and text in one call', async () => {
        expect(pair.a.send(Uint8Array.of(1, 2, 3))).to.equal(true);
        expect(pair.a.send('grüße, 世界 🙂', 9)).to.equal(true);
        expect(pair.a.send('')).to.equal(true);
        const bytes = await arrive('b');
        expect([...bytes.bytes()]).to.deep.equal([1, 2, 3]);
        expect(bytes.type).to.equal(1);
        pair.b.pop();
        const text = await arrive('b');
        expect(text.text()).to.equal('grüße, 世界 🙂');
        expect(text.type).to.equal(9);
        pair.b.pop();
        expect((await arrive('b')).size).to.equal(0);
      });
    });

    describe('full and empty', () => {
      it('gives null and false when full, and room again after pops', async () => {
        let sent = 0;
        for (; ; sent++) {
          const message = pair.a.alloc(100);
          if (message === null) break;
          fill(message, sent);
          pair.a.push();
        }
        expect(sent).to.equal(Math.floor((CAPACITY - 8) / 112));
        expect(pair.a.send(new Uint8Array(100))).to.equal(false);
        for (let n = 0; n < sent; n++) {
          expectMessage(await arrive('b'), n, 100);
          pair.b.pop();
        }
        fill(await room('a', LARGEST), 77);
        pair.a.push();
        expectMessage(await arrive('b'), 77, LARGEST);
      });

      it('has room for the largest message whenever it is empty', async () => {
        for (let n = 0; n < 40; n++) {
          fill(await room('a', LARGEST), n);
          pair.a.push();
          expectMessage(await arrive('b'), n, LARGEST);
          pair.b.pop();
          expect(pair.a.send(new Uint8Array(8 * (n % 5)))).to.equal(true);
          await arrive('b');
          pair.b.pop();
        }
      });

      it('has no message to push after alloc gave null', () => {
        while (pair.a.send(new Uint8Array(LARGEST)));
        pair.a.alloc(LARGEST);
        expectCode(() => pair.a.push(), 'ERR_NO_MESSAGE');
        expectCode(() => pair.a.pushMore(), 'ERR_NO_MESSAGE');
      });

      it('fills both directions without standing still', async () => {
        const sides = ['a', 'b'] as const;
        const pushed = { a: 0, b: 0 };
        for (const side of sides) {
          for (;;) {
            const message = pair[side].alloc(50);
            if (message === null) break;
            fill(message, pushed[side]++);
            pair[side].push();
          }
        }
        await settle();
        for (const side of sides) {
          const from = side === 'a' ? 'b' : 'a';
          for (let n = 0; n < pushed[from]; n++) {
            expectMessage(await arrive(side), n, 50);
            pair[side].pop();
          }
        }
        for (const side of sides) await room(side, LARGEST);
      });

      it('is empty before anything was pushed', async () => {
        await settle();
        expect(pair.a.front()).to.equal(null);
        expect(pair.b.front()).to.equal(null);
        expectCode(() => pair.b.pop(), 'ERR_NO_MESSAGE');
      });

      it('has nothing to pop after the last pop', async () => {
        pair.a.send('x');
        await arrive('b');
        pair.b.pop();
        expectCode(() => pair.b.pop(), 'ERR_NO_MESSAGE');
        expect(pair.b.popped).to.equal(1);
      });
    });

    describe('the producer', () => {
      it('refuses sizes that no message can have, naming the limit', () => {
        for (const size of [LARGEST + 1, 2 ** 32, 2 ** 53, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          const error = thrownBy(() => pair.a.alloc(size));
          expect(error, `size ${size}`).to.be.instanceOf(RangeError);
          expect((error as RangeError).message)
            .to.include(String(LARGEST))
            .and.include(String(size));
        }
        for (const size of ['8', null, undefined, {}] as unknown as number[]) {
          expect(thrownBy(() => pair.a.alloc(size))).to.be.instanceOf(RangeError);
        }
        expect(thrownBy(() => pair.a.send(new Uint8Array(LARGEST + 1)))).to.be.instanceOf(RangeError);
        expect(thrownBy(() => pair.a.send('ü'.repeat(LARGEST / 2 + 1)))).to.be.instanceOf(RangeError);
      });

      it('refuses types other than 1 to 65535', () => {
        const message = pair.a.alloc(4) as Message;
        for (const type of [0, 65536, -1, 1.5, Number.NaN, 2 ** 32 + 1]) {
          expectCode(() => {
            message.type = type;
          }, 'ERR_MESSAGE_TYPE');
        }
        expectCode(() => {
          message.type = '2' as unknown as number;
        }, 'ERR_MESSAGE_TYPE');
        expect(message.type).to.equal(1);
      });

      it('sends nothing when send gets a type that is not one', async () => {
        expectCode(() => pair.a.send('x', 0), 'ERR_MESSAGE_TYPE');
        pair.a.send('y', 2);
        expect((await arrive('b')).text()).to.equal('y');
        expect(pair.a.pushed).to.equal(1);
      });

      it('replaces a message that was allocated and not pushed', async () => {
        (pair.a.alloc(LARGEST) as Message).bytes().fill(255);
        fill(pair.a.alloc(13) as Message, 13);
        pair.a.push();
        expectMessage(await arrive('b'), 13, 13);
        pair.b.pop();
        await settle();
        expect(pair.b.front()).to.equal(null);
        expect(pair.a.pushed).to.equal(1);
      });

      it('needs an alloc for each push', () => {
        expectCode(() => pair.a.push(), 'ERR_NO_MESSAGE', /alloc/);
        expectCode(() => pair.a.pushMore(), 'ERR_NO_MESSAGE', /alloc/);
        pair.a.alloc(1);
        pair.a.push();
        expectCode(() => pair.a.push(), 'ERR_NO_MESSAGE', /alloc/);
      });

      it('lets nobody see what is allocated and not pushed', async () => {
        fill(pair.a.alloc(64) as Message, 1);
        await settle();
        expect(pair.b.front()).to.equal(null);
        expect(pair.a.pushed).to.equal(0);
      });

      it('takes the message away when it is pushed', () => {
        for (const push of [() => pair.a.push(), () => pair.a.pushMore()]) {
          const message = pair.a.alloc(8) as Message;
          push();
          expect(message.size).to.equal(0);
          expect(thrownBy(() => message.setUint8(0, 1))).to.be.instanceOf(RangeError);
        }
      });
    });

    describe('batches', () => {
      const batch = (count: number): void => {
        for (let n = 0; n < count; n++) {
          fill(pair.a.alloc(n * 5) as Message, n);
          pair.a.pushMore();
        }
      };
      /** All at once: with the first of them, all are there. */
      const expectAll = async (count: number): Promise<void> => {
        await arrive('b');
        for (let n = 0; n < count; n++) {
          const message = pair.b.front();
          expect(message, `message ${n}`).to.not.equal(null);
          expectMessage(message as Message, n, n * 5);
          pair.b.pop();
        }
        expect(pair.b.front()).to.equal(null);
      };

      it('become visible at once with publish', async () => {
        batch(10);
        await settle();
        expect(pair.b.front()).to.equal(null);
        expect(pair.a.pushed).to.equal(0);
        pair.a.publish();
        expect(pair.a.pushed).to.equal(10);
        await expectAll(10);
      });

      it('become visible at once with the push of a last message', async () => {
        batch(10);
        fill(pair.a.alloc(50) as Message, 10);
        await settle();
        expect(pair.b.front()).to.equal(null);
        pair.a.push();
        expect(pair.a.pushed).to.equal(11);
        await expectAll(11);
      });

      it('are whole when they go across the end of the ring', async () => {
        for (let round = 0; round < 12; round++) {
          await room('a', LARGEST);
          batch(25);
          pair.a.publish();
          await expectAll(25);
        }
      });

      it('are published without a message as nothing', async () => {
        pair.a.publish();
        pair.a.publish();
        await settle();
        expect(pair.b.front()).to.equal(null);
        expect(pair.a.pushed).to.equal(0);
      });

      it('go out with publish when there is no room for a last message', async () => {
        let n = 0;
        for (; ; n++) {
          const message = pair.a.alloc(200);
          if (message === null) break;
          fill(message, n);
          pair.a.pushMore();
        }
        await settle();
        expect(pair.b.front()).to.equal(null);
        pair.a.publish();
        for (let i = 0; i < n; i++) {
          expectMessage(await arrive('b'), i, 200);
          pair.b.pop();
        }
      });

      it('leave out a message that was allocated and not completed', async () => {
        batch(3);
        fill(pair.a.alloc(100) as Message, 99);
        pair.a.publish();
        await expectAll(3);
        fill(pair.a.alloc(0) as Message, 0);
        pair.a.push();
        await expectAll(1);
      });
    });

    describe('the consumer', () => {
      it('gives the same message until it is popped', async () => {
        pair.a.send('first');
        pair.a.send('second');
        expect((await arrive('b')).text()).to.equal('first');
        await settle();
        expect((pair.b.front() as Message).text()).to.equal('first');
        expect(pair.b.popped).to.equal(0);
        pair.b.pop();
        expect((await arrive('b')).text()).to.equal('second');
      });

      it('takes the message away when it is popped', async () => {
        pair.a.send('gone');
        const message = await arrive('b');
        pair.b.pop();
        expect(message.size).to.equal(0);
        expect(message.text()).to.equal('');
        expect(message.bytes().length).to.equal(0);
        expect(thrownBy(() => message.getUint8(0))).to.be.instanceOf(RangeError);
      });

      it('needs front before pop', async () => {
        pair.a.send('x');
        await arrive('b');
        pair.b.pop();
        pair.a.send('y');
        await settle();
        expectCode(() => pair.b.pop(), 'ERR_NO_MESSAGE', /front/);
        expect((await arrive('b')).text()).to.equal('y');
      });

      it('counts what was pushed and popped', async () => {
        for (let n = 0; n < 5; n++) pair.a.send(`${n}`);
        expect(pair.a.pushed).to.equal(5);
        for (let n = 0; n < 3; n++) {
          await arrive('b');
          pair.b.pop();
        }
        expect([pair.b.popped, pair.b.pushed, pair.a.popped]).to.deep.equal([3, 0, 0]);
      });
    });

    describe('a message', () => {
      const NUMBERS = [
        ['Int8', 1, [-128, -1, 0, 127]],
        ['Uint8', 1, [0, 255]],
        ['Int16', 2, [-32768, -2, 32767]],
        ['Uint16', 2, [1, 0x1234, 65535]],
        ['Int32', 4, [-(2 ** 31), -3, 2 ** 31 - 1]],
        ['Uint32', 4, [0x12345678, 2 ** 32 - 1]],
        ['Float32', 4, [-0.5, 1.5, Number.POSITIVE_INFINITY]],
        ['Float64', 8, [Math.PI, -0, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER]],
        ['BigInt64', 8, [-(2n ** 63n), -1n, 2n ** 63n - 1n]],
        ['BigUint64', 8, [0x0123456789abcdefn, 2n ** 64n - 1n]],
      ] as const;
      type Get = (at: number) => number | bigint;
      type Set = (at: number, value: number | bigint) => void;
      const accessors = (message: Message, kind: string): [Get, Set] => {
        const methods = message as unknown as Record<string, Get & Set>;
        return [methods[`get${kind}`].bind(message), methods[`set${kind}`].bind(message)];
      };

      for (const [kind, width, values] of NUMBERS) {
        it(`carries ${kind}, little-endian, at every offset`, async () => {
          for (const value of values) {
            const mine = pair.a.alloc(24) as Message;
            const [, set] = accessors(mine, kind);
            const places = Array.from({ length: 24 / 8 }, (_, i) => i * 8 + ((i * 3 + 1) % (9 - width)));
            for (const at of places) set(at, value);
            pair.a.push();
            const theirs = await arrive('b');
            const [get] = accessors(theirs, kind);
            for (const at of places) expect(get(at)).to.equal(value);
            const bytes = new DataView(new ArrayBuffer(width));
            (
              bytes as unknown as Record<
                string,
                (at: number, value: number | bigint, little: boolean) => void
              >
            )[`set${kind}`].call(bytes, 0, value, true);
            const first = places[0] as number;
            expect([...theirs.bytes().subarray(first, first + width)]).to.deep.equal([
              ...new Uint8Array(bytes.buffer),
            ]);
            pair.b.pop();
          }
          for (let at = 0; at <= 24 - width; at++) {
            const [get, set] = accessors(pair.a.alloc(24) as Message, kind);
            set(at, values[0]);
            expect(get(at)).to.equal(values[0]);
          }
        });

        it(`refuses ${kind} outside of its bytes`, async () => {
          const mine = pair.a.alloc(16) as Message;
          const [, set] = accessors(mine, kind);
          for (const at of [-1, 0.5, 17 - width, 16, 2 ** 31, Number.NaN]) {
            const error = thrownBy(() => set(at, values[0]));
            expect(error, `at ${at}`).to.be.instanceOf(RangeError);
            expect((error as RangeError).message).to.include('16 bytes');
          }
          pair.a.push();
          const [get] = accessors(await arrive('b'), kind);
          for (const at of [-1, 0.5, 17 - width, 16, Number.NaN]) {
            expect(
              thrownBy(() => get(at)),
              `at ${at}`,
            ).to.be.instanceOf(RangeError);
          }
        });
      }

      it('is seen through its view and offset', async () => {
        const mine = pair.a.alloc(16) as Message;
        expect(mine.offset % 8).to.equal(0);
        mine.view.setUint32(mine.offset + 4, 0xdecade, true);
        pair.a.push();
        const theirs = await arrive('b');
        expect(theirs.view.getUint32(theirs.offset + 4, true)).to.equal(0xdecade);
        expect(theirs.getUint32(4)).to.equal(0xdecade);
      });

      it('takes and gives bytes and text at any place', async () => {
        const mine = pair.a.alloc(12) as Message;
        mine.bytes().fill(0x2e);
        mine.set(Uint8Array.of(1, 2), 1);
        expect(mine.setText('üx', 5)).to.equal(3);
        expect(thrownBy(() => mine.set(new Uint8Array(2), 11))).to.be.instanceOf(RangeError);
        expect(thrownBy(() => mine.setText('ü', 11))).to.be.instanceOf(RangeError);
        expect(thrownBy(() => mine.set(new Uint8Array(1), -1))).to.be.instanceOf(RangeError);
        expect(thrownBy(() => mine.set(new Uint8Array(13)))).to.be.instanceOf(RangeError);
        pair.a.push();
        const theirs = await arrive('b');
        expect(theirs.bytes().toString('latin1')).to.equal('.\x01\x02..\xc3\xbcx....');
        expect(theirs.text()).to.equal('.\x01\x02..üx....');
      });

      it('copies another one with its type: an echo', async () => {
        for (const size of [0, 1, 3, 4, 5, 8, 255, 256, 257, LARGEST]) {
          fill(await room('a', size), size);
          pair.a.push();
          const theirs = await arrive('b');
          (await room('b', size)).copyFrom(theirs);
          pair.b.push();
          pair.b.pop();
          expectMessage(await arrive('a'), size, size);
          pair.a.pop();
        }
      });

      it('copies a shorter one to its start, and refuses a longer one', async () => {
        pair.a.send('short', 5);
        const theirs = await arrive('b');
        const mine = pair.b.alloc(9) as Message;
        mine.bytes().fill(0x2d);
        mine.copyFrom(theirs);
        expect(mine.text().startsWith('short')).to.equal(true);
        expect(mine.type).to.equal(5);
        expect(thrownBy(() => (pair.b.alloc(4) as Message).copyFrom(theirs))).to.be.instanceOf(RangeError);
      });

      it('copies nothing but the other one: what is behind it stays', async () => {
        pair.a.send('short', 5);
        const theirs = await arrive('b');
        const mine = pair.b.alloc(9) as Message;
        mine.bytes().fill(0x2d);
        mine.copyFrom(theirs);
        expect(mine.text()).to.equal('short----');
      });
    });

    describe('the end', () => {
      it('refuses everything after close, and closes once', () => {
        const { a } = pair;
        a.close();
        a.close();
        expect(a.state).to.equal('closed');
        const calls = [
          () => a.alloc(1),
          () => a.push(),
          () => a.pushMore(),
          () => a.publish(),
          () => a.front(),
          () => a.pop(),
          () => a.send('x'),
          () => a.poll({}),
        ];
        for (const call of calls) expectCode(call, 'ERR_CLOSED', /is closed/);
      });

      it('takes messages away from whoever still holds one', async () => {
        pair.b.send('unread');
        const read = await arrive('a');
        const unfinished = pair.a.alloc(8) as Message;
        pair.a.close();
        for (const message of [read, unfinished]) {
          expect(thrownBy(() => message.getUint8(0))).to.be.instanceOf(Error);
        }
      });
    });

    describe('the end of the ring', () => {
      const SIZES = [0, 1, 8, 9, 500, LARGEST, 0, LARGEST];

      for (const [what, sizes] of [
        ['messages of many sizes', SIZES],
        ['the smallest messages', [0, 0, 0, 0, 0, 0]],
        ['the largest messages', [LARGEST, LARGEST, LARGEST]],
      ] as const) {
        it(`is passed by ${what} from every offset`, async () => {
          let position = 0;
          let sent = 0;
          let received = 0;
          const receive = async (): Promise<void> => {
            const message = await arrive('b');
            expectMessage(message, received, lengths[received % lengths.length] as number);
            pair.b.pop();
            received++;
          };
          const lengths: number[] = [];
          const send = async (size: number): Promise<void> => {
            lengths.push(size);
            for (;;) {
              const message = pair.a.alloc(size);
              if (message !== null) {
                fill(message, sent++);
                pair.a.push();
                break;
              }
              if (received < sent) await receive();
              else await turn();
            }
            const length = alignedLength(size + HEADER_BYTES);
            const left = CAPACITY - position;
            position = ((length > left ? 0 : position) + length) % CAPACITY;
          };
          for (let target = 0; target < CAPACITY; target += 8) {
            while (position !== target) {
              const missing = target > position ? target - position : CAPACITY - position;
              await send(Math.min(missing, LARGEST) - HEADER_BYTES);
            }
            for (const size of sizes) await send(size);
          }
          while (received < sent) await receive();
          expect(pair.a.pushed).to.equal(sent);
          expect(pair.b.popped).to.equal(sent);
        });
      }
    });

    describe('disconnected', () => {
      it('goes on until the queue is full, and loses nothing', async () => {
        const { a } = pair;
        pair.b.send('before');
        await arrive('a');
        await pair.disconnect();
        expect(a.state).to.equal('disconnected');
        let sent = 0;
        for (; ; sent++) {
          const message = a.alloc(sizeOf(sent, 200));
          if (message === null) break;
          fill(message, sent);
          a.push();
        }
        expect(sent).to.be.above(10);
        expect((a.front() as Message).text()).to.equal('before');
        a.pop();
        expect(a.front()).to.equal(null);
        await pair.resume();
        expect(pair.a).to.equal(a);
        expect(a.state).to.equal('connected');
        for (let n = 0; n < sent; n++) {
          expectMessage(await arrive('b'), n, sizeOf(n, 200));
          pair.b.pop();
        }
        pair.b.send('after');
        expect((await arrive('a')).text()).to.equal('after');
        await room('a', LARGEST);
      });

      it('resumes in the middle of traffic, again and again, with nothing lost or repeated', async () => {
        const end = 600;
        for (let round = 1; round <= 6; round++) {
          await trafficTo((end / 6) * round, end);
          await pair.disconnect();
          await pair.resume();
        }
        await exchange(pair, end);
      });
    });

    for (const side of traits.reopen) {
      it(`has all messages after side ${side} was closed and opened again`, async () => {
        const end = 600;
        for (let round = 1; round <= 6; round++) {
          await trafficTo((end / 6) * round, end);
          const { pushed, popped } = pair[side];
          const old = pair[side];
          await pair.reopen(side);
          expect(pair[side]).to.not.equal(old);
          expect([pair[side].pushed, pair[side].popped]).to.deep.equal([pushed, popped]);
        }
        await exchange(pair, end);
      });

      it(`gives the message that was not popped again after side ${side} was opened again`, async () => {
        const other = side === 'a' ? 'b' : 'a';
        pair[other].send('unread');
        pair[side].send('unsent');
        await arrive(side);
        fill(pair[side].alloc(40) as Message, 1);
        pair[side].pushMore();
        await pair.reopen(side);
        expect((await arrive(side)).text()).to.equal('unread');
        expect((await arrive(other)).text()).to.equal('unsent');
        pair[other].pop();
        await settle();
        expect(pair[other].front(), 'the batch that was not published').to.equal(null);
      });
    }

    it(`carries ${traits.messages} random messages in each direction, each checked`, async () => {
      await pair.close();
      pair = await open(65536);
      await exchange(pair, traits.messages);
      expect([pair.a.pushed, pair.b.pushed]).to.deep.equal([traits.messages, traits.messages]);
    });

    it('does what a plain array does', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(command(traits), { maxLength: 150, size: 'max' }), async (commands) => {
          await pair.close();
          pair = await open(CAPACITY);
          const model = new Model(pair, arrive, room);
          for (const step of commands) await model.run(step);
          await model.finish();
        }),
        { numRuns: traits.runs },
      );
    });
  });
}

/** Lets both sides send and check until `count` messages have gone each way. */
export async function exchange(pair: Pair, count: number): Promise<void> {
  const a = new Traffic(pair.a, 0, count, count);
  const b = new Traffic(pair.b, 1, count, count);
  let watchdog = new Watchdog('traffic');
  let idle = 0;
  for (let steps = 0; !a.done || !b.done; steps++) {
    const movedA = a.step();
    const movedB = b.step();
    if (movedA || movedB) {
      idle = 0;
      if (steps % 1024 === 0) watchdog = new Watchdog('traffic');
    } else if (idle++ > 100) watchdog.check();
    if (!(movedA && movedB) || pair.a.transport === 'tcp' || steps % 1024 === 0) await pair.turn();
  }
}

type Side = 'a' | 'b';
type Command =
  | { readonly kind: 'push' | 'more' | 'send' | 'forget'; readonly side: Side; readonly size: number }
  | { readonly kind: 'publish' | 'front' | 'pop' | 'turn' | 'reopen'; readonly side: Side }
  | { readonly kind: 'cut' };

function command(traits: Traits): fc.Arbitrary<Command> {
  const side = fc.constantFrom<Side>('a', 'b');
  const size = fc.oneof(
    { weight: 6, arbitrary: fc.nat(64) },
    { weight: 2, arbitrary: fc.nat(LARGEST) },
    { weight: 1, arbitrary: fc.constantFrom(0, LARGEST) },
  );
  const commands: fc.WeightedArbitrary<Command>[] = [
    {
      weight: 12,
      arbitrary: fc.record({ kind: fc.constantFrom('push', 'more', 'send', 'forget'), side, size }),
    },
    {
      weight: 10,
      arbitrary: fc.record({ kind: fc.constantFrom('publish', 'front', 'pop', 'pop', 'turn'), side }),
    },
    { weight: 1, arbitrary: fc.constant<Command>({ kind: 'cut' }) },
  ];
  if (traits.reopen.length > 0) {
    commands.push({
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('reopen'), side: fc.constantFrom(...traits.reopen) }),
    });
  }
  return fc.oneof(...commands);
}

interface Entry {
  readonly n: number;
  readonly size: number;
}

/** A plain array for each direction, and the pair that must behave like it. */
class Model {
  readonly #pair: Pair;
  readonly #arrive: (side: Side) => Promise<Message>;
  readonly #room: (side: Side, size: number) => Promise<Message>;
  /** What each side has published and the other one not popped; and what is in its open batch. */
  readonly #published: Record<Side, Entry[]> = { a: [], b: [] };
  readonly #batch: Record<Side, Entry[]> = { a: [], b: [] };
  readonly #pushed = { a: 0, b: 0 };
  readonly #popped = { a: 0, b: 0 };
  #next = 0;

  constructor(
    pair: Pair,
    arrive: (side: Side) => Promise<Message>,
    room: (side: Side, size: number) => Promise<Message>,
  ) {
    this.#pair = pair;
    this.#arrive = arrive;
    this.#room = room;
  }

  async run(command: Command): Promise<void> {
    if (command.kind === 'cut') {
      const closed = this.#pair.b.state;
      await this.#pair.disconnect();
      // Where a cut closes a side, what it had not published goes with it.
      for (const side of ['a', 'b'] as const) {
        if (closed !== 'closed' && this.#pair[side].state === 'closed') this.#batch[side] = [];
      }
      await this.#pair.resume();
      this.#check();
      return;
    }
    const { side } = command;
    switch (command.kind) {
      case 'push':
      case 'more':
      case 'send':
      case 'forget':
        await this.#produce(command.kind, side, command.size);
        break;
      case 'publish':
        this.#pair[side].publish();
        this.#publish(side);
        break;
      case 'front':
        await this.#front(side);
        break;
      case 'pop':
        if ((await this.#front(side)) === null) {
          expectCode(() => this.#pair[side].pop(), 'ERR_NO_MESSAGE');
        } else {
          this.#pair[side].pop();
          this.#popped[side]++;
          this.#published[otherSide(side)].shift();
        }
        break;
      case 'turn':
        await this.#pair.turn();
        break;
      case 'reopen':
        this.#batch[side] = [];
        await this.#pair.reopen(side);
        break;
    }
    this.#check();
  }

  /** All that is left comes, and then there is room for the largest message. */
  async finish(): Promise<void> {
    for (const side of ['a', 'b'] as const) {
      this.#pair[side].publish();
      this.#publish(side);
    }
    for (const side of ['a', 'b'] as const) {
      while (this.#published[otherSide(side)].length > 0) await this.run({ kind: 'pop', side });
      expect(this.#pair[side].front()).to.equal(null);
    }
    for (const side of ['a', 'b'] as const) await this.#room(side, LARGEST);
  }

  async #produce(kind: 'push' | 'more' | 'send' | 'forget', side: Side, size: number): Promise<void> {
    const connection = this.#pair[side];
    const n = this.#next++;
    if (kind === 'send') {
      const bytes = Uint8Array.from({ length: size }, (_, i) => n + i);
      if (!connection.send(bytes, typeOf(n))) return this.#full(side, size);
      this.#batch[side].push({ n: -n - 1, size });
      return this.#publish(side);
    }
    const message = connection.alloc(size);
    if (message === null) return this.#full(side, size);
    expect(message.size).to.equal(size);
    fill(message, n);
    if (kind === 'forget') return;
    if (kind === 'push') connection.push();
    else connection.pushMore();
    this.#batch[side].push({ n, size });
    if (kind === 'push') this.#publish(side);
  }

  /** There may be no room when much is under way; an empty queue must have some, as soon as the other side has said so. */
  async #full(side: Side, size: number): Promise<void> {
    if (this.#published[side].length + this.#batch[side].length === 0) await this.#room(side, size);
  }

  #publish(side: Side): void {
    this.#published[side].push(...this.#batch[side]);
    this.#pushed[side] += this.#batch[side].length;
    this.#batch[side] = [];
  }

  async #front(side: Side): Promise<Message | null> {
    const expected = this.#published[otherSide(side)][0];
    if (expected === undefined) {
      expect(this.#pair[side].front()).to.equal(null);
      return null;
    }
    const message = await this.#arrive(side);
    if (expected.n >= 0) {
      expect(fault(message, expected.n, expected.size)).to.equal(null);
    } else {
      const n = -expected.n - 1;
      expect(message.type).to.equal(typeOf(n));
      expect([...message.bytes()]).to.deep.equal(
        Array.from({ length: expected.size }, (_, i) => (n + i) & 255),
      );
    }
    return message;
  }

  #check(): void {
    for (const side of ['a', 'b'] as const) {
      expect(this.#pair[side].pushed).to.equal(this.#pushed[side]);
      expect(this.#pair[side].popped).to.equal(this.#popped[side]);
    }
  }
}

function otherSide(side: Side): Side {
  return side === 'a' ? 'b' : 'a';
}
