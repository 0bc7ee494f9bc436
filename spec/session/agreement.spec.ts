import { expect } from 'chai';
import fc from 'fast-check';
import { agree, reconcile, type ServerTerms } from '../../lib/session/agreement.js';
import type { Hello, Welcome } from '../../lib/session/loginMessages.js';
import { canBothBeTrue, FRESH_STATE, isFresh, type Point, type SideState } from '../../lib/session/state.js';
import { helloOf } from '../support/frames.js';

const HELLO = helloOf('c', {
  transport: 'auto',
  bootId: 'boot',
  heartbeatIntervalMs: 10,
  connectionTimeoutMs: 100,
});
const NONE = { inproc: 0, shm: 0, tcp: 0 };
const TERMS: ServerTerms = {
  name: 's',
  overThreads: false,
  bootId: 'boot',
  durability: 'process',
  heartbeatIntervalMs: 20,
  connectionTimeoutMs: 200,
  maxCapacityBytes: 65536,
  codec: '',
  protocol: { name: '', oldest: 0, newest: 0 },
  sendCapacityBytes: NONE,
  receiveCapacityBytes: NONE,
};

describe('the agreement on a login', () => {
  const transports: readonly (readonly [string, Partial<Hello>, Partial<ServerTerms>, string])[] = [
    ['auto on one host', {}, {}, 'shm'],
    ['auto on two hosts', { bootId: 'other' }, {}, 'tcp'],
    ['auto without native module at the client', { bootId: '' }, {}, 'tcp'],
    ['auto without native module at both', { bootId: '' }, { bootId: '' }, 'tcp'],
    ['tcp on one host', { transport: 'tcp' }, {}, 'tcp'],
    ['shm on one host', { transport: 'shm' }, {}, 'shm'],
    ['shm on two hosts', { transport: 'shm' }, { bootId: 'other' }, 'ERR_OPTION'],
    [
      'shm without native module at both',
      { transport: 'shm', bootId: '' },
      { bootId: '' },
      'ERR_NATIVE_MISSING',
    ],
    ['inproc between threads', { transport: 'inproc' }, { overThreads: true }, 'inproc'],
    ['inproc over a socket', { transport: 'inproc' }, {}, 'ERR_OPTION'],
    ['auto between threads', {}, { overThreads: true }, 'ERR_OPTION'],
    ['tcp between threads', { transport: 'tcp' }, { overThreads: true }, 'ERR_OPTION'],
    ['the server by its name', { server: 's' }, {}, 'shm'],
    ['a server of another name', { server: 't' }, {}, 'ERR_LOGIN_REJECTED'],
  ];
  for (const [what, hello, terms, expected] of transports) {
    it(`on ${what}: ${expected}`, () => {
      const decision = agree({ ...HELLO, ...hello }, { ...TERMS, ...terms });
      expect('code' in decision ? decision.code : decision.transport).to.equal(expected);
    });
  }

  for (const [clients, servers, expected] of [
    [0, 0, 0],
    [4096, 0, 4096],
    [0, 8192, 8192],
    [4096, 4096, 4096],
  ] as const) {
    it(`on a capacity: ${clients} and ${servers} give ${expected}, in each direction`, () => {
      expect(
        agree(
          { ...HELLO, clientToServer: clients },
          { ...TERMS, receiveCapacityBytes: { ...NONE, shm: servers } },
        ),
      ).to.deep.equal({ transport: 'shm', clientToServer: expected, serverToClient: 0, protocolVersion: 0 });
      expect(
        agree(
          { ...HELLO, serverToClient: clients },
          { ...TERMS, sendCapacityBytes: { ...NONE, shm: servers } },
        ),
      ).to.deep.equal({ transport: 'shm', clientToServer: 0, serverToClient: expected, protocolVersion: 0 });
    });
  }

  it('is refused on a capacity beyond what clients may choose, unless the server wants it too', () => {
    for (const direction of ['clientToServer', 'serverToClient'] as const) {
      const hello = { ...HELLO, [direction]: 131072 };
      expect(agree(hello, TERMS)).to.have.property('code', 'ERR_CAPACITY');
      const own = { ...NONE, shm: 131072 };
      const willing = agree(hello, { ...TERMS, sendCapacityBytes: own, receiveCapacityBytes: own });
      expect(willing).to.have.property(direction, 131072);
    }
  });

  it('is refused on different capacities, with both', () => {
    const decision = agree(
      { ...HELLO, clientToServer: 4096 },
      { ...TERMS, receiveCapacityBytes: { ...NONE, shm: 8192 } },
    );
    expect(decision).to.have.property('code', 'ERR_CAPACITY');
    expect((decision as { reason: string }).reason).to.match(/client to server.*4096.*8192/);
  });

  it('compares what is wanted over tcp when auto becomes tcp', () => {
    const hello = {
      ...HELLO,
      bootId: '',
      clientToServer: 4096,
      overTcp: { clientToServer: 8192, serverToClient: 65536 },
    };
    expect(agree(hello, { ...TERMS, receiveCapacityBytes: { ...NONE, tcp: 8192 } })).to.deep.equal({
      transport: 'tcp',
      clientToServer: 8192,
      serverToClient: 65536,
      protocolVersion: 0,
    });
  });

  it('does not compare capacities of other transports', () => {
    const other = agree(
      { ...HELLO, clientToServer: 4096 },
      { ...TERMS, receiveCapacityBytes: { ...NONE, tcp: 8192 } },
    );
    expect(other).to.have.property('clientToServer', 4096);
  });

  it("is refused when one's heartbeats are too slow for the other's timeout", () => {
    for (const decision of [
      agree({ ...HELLO, heartbeatIntervalMs: 200 }, TERMS),
      agree(HELLO, { ...TERMS, heartbeatIntervalMs: 100 }),
      agree({ ...HELLO, connectionTimeoutMs: 20 }, TERMS),
      agree(HELLO, { ...TERMS, connectionTimeoutMs: 10 }),
    ]) {
      expect(decision).to.have.property('code', 'ERR_OPTION');
      expect((decision as { reason: string }).reason).to.match(
        /heartbeatIntervalMs \(\d+\).*connectionTimeoutMs \(\d+\)/,
      );
    }
  });
});

const at = (position: number, sequence: number): Point => ({ position: position >>> 0, sequence });
/** A side that has pushed and received so much, all of it acknowledged and popped. */
const side = (pushed: Point, received: Point): SideState => ({
  acknowledged: pushed,
  pushed,
  popped: received,
  received,
});

describe('the states of both sides', () => {
  it('can both be true when each direction is in order', () => {
    expect(canBothBeTrue(FRESH_STATE, FRESH_STATE, 4096, 4096)).to.equal(true);
    const a: SideState = {
      acknowledged: at(64, 2),
      pushed: at(4160, 20),
      popped: at(8, 1),
      received: at(16, 2),
    };
    const b: SideState = {
      acknowledged: at(8, 1),
      pushed: at(24, 3),
      popped: at(128, 4),
      received: at(1000, 9),
    };
    expect(canBothBeTrue(a, b, 4096, 4096)).to.equal(true);
    expect(canBothBeTrue(b, a, 4096, 4096)).to.equal(true);
  });

  it('can both be true across the wrap of positions', () => {
    const a: SideState = { ...FRESH_STATE, acknowledged: at(-64, 100), pushed: at(64, 108) };
    const b: SideState = { ...FRESH_STATE, popped: at(-32, 103), received: at(0, 105) };
    expect(canBothBeTrue(a, b, 4096, 4096)).to.equal(true);
  });

  it('cannot when any one point is out of order', () => {
    const a: SideState = { ...FRESH_STATE, acknowledged: at(100, 10), pushed: at(400, 40) };
    const b: SideState = { ...FRESH_STATE, popped: at(200, 20), received: at(300, 30) };
    expect(canBothBeTrue(a, b, 4096, 4096)).to.equal(true);
    const wrong: readonly (readonly [string, SideState, SideState])[] = [
      ['acknowledged beyond popped', { ...a, acknowledged: at(208, 20) }, b],
      ['more messages acknowledged than popped', { ...a, acknowledged: at(100, 21) }, b],
      ['popped beyond received', a, { ...b, popped: at(308, 30) }],
      ['more messages popped than received', a, { ...b, popped: at(200, 31) }],
      ['received beyond pushed', a, { ...b, received: at(408, 40) }],
      ['more messages received than pushed', a, { ...b, received: at(300, 41) }],
      ['more messages than bytes can hold', { ...a, pushed: at(400, 43) }, b],
      ['a message without bytes', { ...a, pushed: at(300, 31) }, b],
      ['pushed behind received', { ...a, pushed: at(296, 30) }, b],
    ];
    for (const [what, one, other] of wrong) {
      expect(canBothBeTrue(one, other, 4096, 4096), what).to.equal(false);
      expect(canBothBeTrue(other, one, 4096, 4096), `${what}, the other way`).to.equal(false);
    }
  });

  it('cannot when more lies between them than the ring holds', () => {
    const a: SideState = { ...FRESH_STATE, acknowledged: at(0, 0), pushed: at(4104, 1) };
    const b: SideState = { ...FRESH_STATE, popped: at(0, 0), received: at(0, 0) };
    expect(canBothBeTrue(a, b, 4096, 4096)).to.equal(false);
    expect(canBothBeTrue(a, b, 8192, 4096)).to.equal(true);
  });

  it('never can when what the other side says lies outside of what this one has, however it wraps', () => {
    const anywhere = fc.oneof(
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      fc.integer({ min: -64, max: 64 }).map((near) => near * 8),
      fc.constantFrom(0x55555550, 0x2aaaaaa8, -0x55555558),
    );
    fc.assert(
      fc.property(anywhere, anywhere, anywhere, fc.nat(512), (start, popped, received, eights) => {
        const a: SideState = {
          ...FRESH_STATE,
          acknowledged: at(start, 0),
          pushed: at((start + eights * 8) | 0, 0),
        };
        const b: SideState = {
          ...FRESH_STATE,
          popped: at(start + popped, 0),
          received: at(start + received, 0),
        };
        const possible = 0 <= popped && popped <= received && received <= eights * 8;
        expect(canBothBeTrue(a, b, 4096, 4096)).to.equal(possible);
      }),
      { numRuns: 2000 },
    );
  });

  it('can always be true when they come from one history', () => {
    const amount = fc.nat(500);
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.array(amount, { minLength: 4, maxLength: 4 }), (start, amounts) => {
        let position = start;
        let sequence = 0;
        const points = amounts.map((messages) => {
          position += messages * 8;
          sequence += messages;
          return at(position | 0, sequence);
        }) as [Point, Point, Point, Point];
        const [acknowledged, popped, received, pushed] = points;
        const none = at(0, 0);
        const a: SideState = { acknowledged, pushed, popped: none, received: none };
        const b: SideState = { acknowledged: none, pushed: none, popped, received };
        expect(canBothBeTrue(a, b, 16384, 4096)).to.equal(true);
      }),
    );
  });
});

describe('reconciling a session with the one that the server offers', () => {
  const offer = (state: SideState, sessionId = 'one'): Welcome => ({
    server: 's',
    transport: 'tcp',
    sessionId,
    clientToServer: 4096,
    serverToClient: 4096,
    path: '',
    state,
    protocolVersion: 0,
    reply: new Uint8Array(0),
  });
  const mine = (state: SideState): { sessionId: string; state: SideState } => ({ sessionId: 'one', state });
  const used = side(at(64, 2), at(128, 3));
  const same = side(at(128, 3), at(64, 2));

  it('begins what neither has', () => {
    expect(reconcile(null, offer(FRESH_STATE))).to.equal('begin');
  });
  it('resumes what both have', () => {
    expect(reconcile(mine(used), offer(same))).to.equal('resume');
    expect(reconcile(mine(FRESH_STATE), offer(FRESH_STATE))).to.equal('resume');
  });
  it('refuses what cannot both be true', () => {
    expect(reconcile(mine(used), offer(FRESH_STATE))).to.equal('mismatch');
    expect(reconcile(mine(FRESH_STATE), offer(same))).to.equal('mismatch');
  });
  it('begins anew in place of a session in which nothing happened', () => {
    expect(reconcile(mine(FRESH_STATE), offer(FRESH_STATE, 'two'))).to.equal('begin');
  });
  it('never drops messages for another session, whosever they are', () => {
    expect(reconcile(mine(used), offer(FRESH_STATE, 'two'))).to.equal('mismatch');
    expect(reconcile(mine(FRESH_STATE), offer(same, 'two'))).to.equal('mismatch');
    expect(reconcile(null, offer(same))).to.equal('mismatch');
  });
  it('knows a state in which nothing happened', () => {
    expect(isFresh(FRESH_STATE)).to.equal(true);
    expect(isFresh(side(at(8, 1), at(0, 0)))).to.equal(false);
    expect(isFresh(side(at(0, 0), at(8, 1)))).to.equal(false);
  });
});
