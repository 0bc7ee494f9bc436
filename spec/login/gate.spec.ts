import { expect } from 'chai';
import { Gate, type GateLimits, MAX_ORIGINS, originOf } from '../../lib/login/gate.js';

const LIMITS: GateLimits = { maxLoginsPerSecond: 10, maxFailedLogins: 3, failedLoginWindowMs: 1000 };

describe('the gate', () => {
  describe('for logins per second', () => {
    it('lets as many begin at once as in a second, and then one in each tenth of it', () => {
      const gate = new Gate(LIMITS);
      for (let i = 0; i < 10; i++) {
        expect(gate.waitMs(5000)).to.equal(0);
        gate.begun(5000);
      }
      expect(gate.waitMs(5000)).to.be.closeTo(100, 1e-6);
      expect(gate.waitMs(5050)).to.be.closeTo(50, 1e-6);
      expect(gate.waitMs(5101)).to.equal(0);
      gate.begun(5101);
      expect(gate.waitMs(5101)).to.be.above(90);
    });

    it('saves up no more than a second', () => {
      const gate = new Gate(LIMITS);
      gate.begun(0);
      for (let i = 0; i < 10; i++) gate.begun(1e9);
      expect(gate.waitMs(1e9)).to.be.above(0);
    });
  });

  describe('for failed logins', () => {
    it('refuses an address after so many, until the time since the first is over', () => {
      const gate = new Gate(LIMITS);
      expect(gate.failed('a', 0)).to.equal(false);
      expect(gate.failed('a', 500)).to.equal(false);
      expect(gate.admits('a', 500)).to.equal(true);
      expect(gate.failed('a', 600)).to.equal(true);
      expect(gate.admits('a', 999)).to.equal(false);
      expect(gate.failed('a', 999)).to.equal(false);
      expect(gate.admits('a', 1000)).to.equal(true);
      expect(gate.failed('a', 1000)).to.equal(false);
    });

    it('refuses nobody else', () => {
      const gate = new Gate(LIMITS);
      for (let i = 0; i < 5; i++) for (const origin of ['a', null]) gate.failed(origin, 0);
      expect(gate.admits('a', 0)).to.equal(false);
      expect(gate.admits('b', 0)).to.equal(true);
      expect(gate.admits(null, 0)).to.equal(true);
    });

    it('remembers so many addresses and no more, the youngest', () => {
      const gate = new Gate(LIMITS);
      for (let i = 0; i < 3; i++) for (const origin of ['first', 'second']) gate.failed(origin, 0);
      for (let i = 2; i < MAX_ORIGINS; i++) gate.failed(`x${i}`, 0);
      expect(gate.size).to.equal(MAX_ORIGINS);
      expect(gate.admits('first', 0)).to.equal(false);
      gate.failed('one more', 0);
      expect(gate.size).to.equal(MAX_ORIGINS);
      expect(gate.admits('first', 0)).to.equal(true);
      expect(gate.admits('second', 0)).to.equal(false);
    });
  });

  describe('takes for one origin', () => {
    const origins: [string, string | null][] = [
      ['10.1.2.3:80', '10.1.2.3'],
      ['[::1]:80', '0:0:0:0::/64'],
      ['::1:80', '0:0:0:0::/64'],
      ['[2001:db8:1:2:3:4:5:6]:80', '2001:db8:1:2::/64'],
      ['[2001:db8:1:2::9]:80', '2001:db8:1:2::/64'],
      ['[2001:0db8:1::2:9]:80', '2001:db8:1:0::/64'],
      ['[fe80::1%eth0]:80', 'fe80:0:0:0::/64'],
      ['[::ffff:10.1.2.3]:80', '10.1.2.3'],
      ['::ffff:10.1.2.3:80', '10.1.2.3'],
      ['', null],
      ['/tmp/socket:80', null],
      ['thread 3', null],
    ];
    for (const [address, origin] of origins) {
      it(`what comes from ${JSON.stringify(address)}: ${origin}`, () => {
        expect(originOf(address)).to.equal(origin);
      });
    }
  });
});
