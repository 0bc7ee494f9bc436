/** For run.spec.ts: a spec whose process dies. */
describe('a file of the run', () => {
  it('passes', () => {});
  it('dies', () => process.kill(process.pid, 'SIGKILL'));
});
