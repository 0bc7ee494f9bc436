import { expect } from 'chai';
import { type IdleOptions, Idling } from '../../lib/poll/idling.js';
import { expectCode } from '../support/failure.js';

describe('what a driver does when nothing moves', () => {
  it("is to poll on with 'busy', and to let the event loop turn with 'yield', whatever happens", () => {
    for (const [strategy, idle] of [
      ['busy', 'busy'],
      ['yield', 'yield'],
    ] as const) {
      const idling = new Idling(strategy);
      for (let now = 0; now < 1000; now += 100) expect(idling.next(now === 300, now)).to.equal(idle);
    }
  });

  it("is to sleep with 'park', unless something moved just now", () => {
    const idling = new Idling('park');
    expect(idling.next(false, 0)).to.equal('park');
    expect(idling.next(true, 1)).to.equal('spin');
    expect(idling.next(false, 1)).to.equal('park');
  });

  it("is with 'backoff' to poll, then to yield, then to sleep, each for its time since something moved", () => {
    const idling = new Idling({ strategy: 'backoff', spinMs: 2, yieldMs: 10 });
    const at = (now: number, moved = false): string => idling.next(moved, now);
    expect([at(100), at(101), at(102), at(111), at(112), at(500)]).to.deep.equal([
      'spin',
      'spin',
      'yield',
      'yield',
      'park',
      'park',
    ]);
    expect([at(600, true), at(601), at(602), at(612)]).to.deep.equal(['spin', 'spin', 'yield', 'park']);
  });

  it('has times that may be 0', () => {
    const idling = new Idling({ strategy: 'backoff', spinMs: 0, yieldMs: 0 });
    expect(idling.next(true, 5)).to.equal('park');
  });

  it('is backoff where nothing was said', () => {
    expect(new Idling().next(true, 0)).to.equal('spin');
    expect(new Idling({} as IdleOptions).next(true, 0)).to.equal('spin');
  });

  it('refuses other strategies, and what is no time', () => {
    expectCode(
      () => new Idling('sleep' as 'park'),
      'ERR_OPTION',
      /idle must be one of busy, yield, backoff, park/,
    );
    for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5']) {
      expectCode(
        () => new Idling({ strategy: 'backoff', spinMs: wrong as number }),
        'ERR_OPTION',
        /idle.spinMs must be a number of milliseconds/,
      );
    }
  });
});
