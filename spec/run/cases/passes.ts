/** For run.spec.ts: a spec that passes. */
describe('a file of the run', () => {
  it('passes', () => {});
});
