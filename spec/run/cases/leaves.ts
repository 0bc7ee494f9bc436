/** For run.spec.ts: a spec that never ends, during which a rejection is not handled. */
describe('a file of the run', () => {
  it('rejects', () => {
    void Promise.reject(new Error('nobody handles this'));
    return new Promise(() => {});
  });
});
