/** For run.spec.ts: specs of which one passes, one fails and one is skipped. */
import { expect } from 'chai';

describe('a file of the run', () => {
  it('passes', () => {});
  it('fails', () => expect(1).to.equal(2));
  it('is skipped');
});
