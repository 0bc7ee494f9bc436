import { expect } from 'chai';
import { isMoved } from '../../lib/session/notices.js';
import {
  beginTenure,
  expectOwner,
  fencedError,
  isSilent,
  Renewal,
  readTenure,
  renewTenure,
  silenceOf,
  type Tenure,
} from '../../lib/session/tenure.js';

function tenureOf(words: Float64Array): Tenure {
  return readTenure(words) as Tenure;
}

describe('the tenure of a side', () => {
  it('is nobody’s where nobody ever was', () => {
    expect(readTenure(new Float64Array(3))).to.equal(null);
  });

  it('says who has it, since when he is silent, and for how long he may be', () => {
    const words = new Float64Array(3);
    beginTenure(words, 1234, 300, 1000);
    expect(tenureOf(words)).to.deep.equal({
      processId: 1234,
      timeoutMs: 300,
      lastSignMs: 1000,
      toCome: false,
    });
    expect(silenceOf(tenureOf(words), 1299)).to.equal(299);
    expect(isSilent(tenureOf(words), 1299)).to.equal(false);
    expect(isSilent(tenureOf(words), 1300)).to.equal(true);
  });

  it('begins anew with every sign of life', () => {
    const words = new Float64Array(3);
    beginTenure(words, 1234, 300, 1000);
    renewTenure(words, 1250);
    expect(isSilent(tenureOf(words), 1549)).to.equal(false);
    expect(isSilent(tenureOf(words), 1550)).to.equal(true);
  });

  it('may be kept for an owner who is to come, until he has come', () => {
    const words = new Float64Array(3);
    beginTenure(words, 1234, 300, 1000);
    expectOwner(words);
    expectOwner(words);
    expect(tenureOf(words)).to.deep.equal({
      processId: 1234,
      timeoutMs: 300,
      lastSignMs: 1000,
      toCome: true,
    });
    expect(isSilent(tenureOf(words), 1299)).to.equal(false);
    beginTenure(words, 1234, 300, 1200);
    expect(tenureOf(words).toCome).to.equal(false);
  });

  it('does not last for ever with what is no number', () => {
    for (const bad of [
      [1, Number.NaN, 0],
      [1, 300, Number.NaN],
    ]) {
      expect(isSilent(tenureOf(Float64Array.from(bad)), 1e9)).to.equal(true);
    }
  });
});

describe('signs of life', () => {
  it('are due at once, then once per interval, whatever the clock begins with', () => {
    for (const start of [-1e6, 0, 1e12]) {
      const renewal = new Renewal(50);
      const due = [0, 1, 49, 50, 51, 99, 100, 300, 301].filter((at) => renewal.due(start + at));
      expect(due).to.deep.equal([0, 50, 100, 300]);
    }
  });
});

describe('the word of a session that moves', () => {
  it('is seen', () => {
    const word = new Int32Array(1);
    expect(isMoved(word)).to.equal(false);
    word[0] = 1;
    expect(isMoved(word)).to.equal(true);
  });

  it('makes an error that says by whom, and what to do', () => {
    const { code, message } = fencedError('alice', 'bob', 4711);
    expect(code).to.equal('ERR_FENCED');
    expect(message)
      .to.match(/4711.*taken over 'alice'.*'bob'/)
      .and.match(/may or may not/)
      .and.match(/connect again/);
    expect(fencedError('alice', 'bob', null).message).to.match(/^another process has/);
  });
});
