/** For run.spec.ts: a spec that passes, after which its process ends. */
describe('a file of the run', () => {
  it('passes', () => {
    setTimeout(() => process.exit(3), 200);
  });
});
