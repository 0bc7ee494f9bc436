import { expect } from 'chai';
import { ERROR_CODES } from '../../lib/errors.js';
import {
  Backoff,
  type BackoffOptions,
  type BackoffSettings,
  backoffSettings,
  delayBefore,
} from '../../lib/session/backoff.js';
import { expectCode } from '../support/failure.js';

function settings(options: BackoffOptions): BackoffSettings {
  return backoffSettings(options) as BackoffSettings;
}

describe('the back-off between attempts to connect again', () => {
  const plain = settings({ initialDelayMs: 10, maxDelayMs: 100, factor: 3, jitter: 0 });

  it('grows exponentially up to the longest delay', () => {
    const delays = [1, 2, 3, 4, 5].map((attempt) => delayBefore(attempt, plain, 0.7));
    expect(delays).to.deep.equal([10, 30, 90, 100, 100]);
    expect(delayBefore(1e6, plain, 0)).to.equal(100);
  });

  it('stays the same with factor 1', () => {
    const steady = settings({ initialDelayMs: 7, factor: 1, jitter: 0 });
    expect([1, 2, 1000].map((attempt) => delayBefore(attempt, steady, 0))).to.deep.equal([7, 7, 7]);
  });

  it('leaves the share to chance that is called jitter, and never exceeds the longest delay', () => {
    const half = { ...plain, jitter: 0.5 };
    const full = { ...plain, jitter: 1 };
    expect([0, 0.5, 1].map((random) => delayBefore(2, half, random))).to.deep.equal([30, 22.5, 15]);
    expect([0, 0.5, 1].map((random) => delayBefore(9, full, random))).to.deep.equal([100, 50, 0]);
  });

  it('counts each delay from the first look at the clock', () => {
    for (const start of [0, -500, 1.7e12]) {
      const backoff = new Backoff(plain, 0);
      expect([start, start + 9, start + 10].map((now) => backoff.due(now))).to.deep.equal([
        false,
        false,
        true,
      ]);
      expect(backoff.begin()).to.equal(1);
      expect(backoff.failed('ERR_CONNECT', 0)).to.equal(30);
      expect([50, 79, 80].map((after) => backoff.due(start + after))).to.deep.equal([false, false, true]);
      expect(backoff.begin()).to.equal(2);
      expect(backoff.failed('ERR_CONNECT', 0)).to.equal(90);
    }
  });

  it('ends after the last attempt that is allowed', () => {
    const backoff = new Backoff({ ...plain, maxAttempts: 2 }, 0);
    backoff.begin();
    expect(backoff.failed('ERR_CONNECT', 0)).to.equal(30);
    backoff.begin();
    expect(backoff.failed('ERR_CONNECT', 0)).to.equal(null);
  });

  it('goes on after errors that can pass by themselves, and after no others', () => {
    const passing = ERROR_CODES.filter((code) => new Backoff(plain, 0).failed(code, 0) !== null);
    expect(passing).to.deep.equal([
      'ERR_ALREADY_CONNECTED',
      'ERR_CONNECT',
      'ERR_FILE',
      'ERR_LOGIN_TIMEOUT',
      'ERR_NO_SPACE',
      'ERR_SYSTEM',
    ]);
  });

  it('is off unless asked for, and has defaults', () => {
    expect([backoffSettings(undefined), backoffSettings(false)]).to.deep.equal([null, null]);
    const defaults = {
      initialDelayMs: 100,
      maxDelayMs: 30000,
      factor: 2,
      jitter: 0.5,
      maxAttempts: Number.POSITIVE_INFINITY,
    };
    expect(backoffSettings(true)).to.deep.equal(defaults);
    expect(backoffSettings({ maxAttempts: 3 })).to.deep.equal({ ...defaults, maxAttempts: 3 });
  });

  const wrong: [unknown, RegExp][] = [
    [1, /reconnect must be true, false or options, got 1/],
    [null, /got null/],
    [[], /reconnect must be/],
    [{ initialDelay: 5 }, /reconnect has the options initialDelayMs.*got "initialDelay"/],
    [{ initialDelayMs: 0 }, /initialDelayMs must be a positive number of milliseconds, got 0/],
    [{ maxDelayMs: Number.POSITIVE_INFINITY }, /maxDelayMs must be .* got Infinity/],
    [{ initialDelayMs: 5, maxDelayMs: 4 }, /must not be greater than maxDelayMs, got 5 and 4/],
    [{ factor: 0.9 }, /factor must be a number of at least 1, got 0.9/],
    [{ factor: Number.NaN }, /factor must be/],
    [{ jitter: 1.1 }, /jitter must be a number from 0 to 1, got 1.1/],
    [{ jitter: '0' }, /jitter must be/],
    [{ maxAttempts: 0 }, /maxAttempts must be an integer of at least 1, got 0/],
    [{ maxAttempts: 1.5 }, /maxAttempts must be/],
  ];
  for (const [option, message] of wrong) {
    it(`refuses ${JSON.stringify(option)}, which says ${message.source}`, () => {
      expectCode(() => backoffSettings(option), 'ERR_OPTION', message);
    });
  }
});
