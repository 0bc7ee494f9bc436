import { expect } from 'chai';
import { method, notice, type StandardSchema, service, streamOf } from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { talk } from './support.js';

/** As a library of validators has it. */
function positive(asynchronous: boolean): StandardSchema<unknown, number> {
  const validate = (value: unknown): { value: number } | { issues: { message: string }[] } =>
    typeof value === 'number' && value > 0
      ? { value }
      : { issues: [{ message: `${value} is not positive` }] };
  return {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: (value) => (asynchronous ? Promise.resolve(validate(value)) : validate(value)),
    },
  };
}

const calculator = service({
  add: method<{ a: number; b: number }, number>(),
  root: method({ request: positive(false), answer: positive(true) }),
  count: streamOf({ request: positive(true), answer: positive(false) }),
  log: notice<string>({ method: 9 }),
  ping: method(),
});

describe('a service', () => {
  it('gives clients and handlers of its types', async () => {
    const { near, far, scene, settled } = await talk('shm');
    const lines: string[] = [];
    calculator.serve(far, {
      add: ({ a, b }) => a + b,
      root: async (value) => Math.sqrt(value),
      async *count(to) {
        for (let i = 1; i <= to; i++) yield i;
      },
      log: (line) => void lines.push(line),
      ping: () => {},
    });
    const client = calculator.client(near);
    const sum: number = await settled(client.add({ a: 1, b: 2 }));
    expect(sum).to.equal(3);
    expect(await settled(client.root(9, { timeoutMs: 10_000 }))).to.equal(3);
    const counted: number[] = [];
    const count = async (): Promise<void> => {
      for await (const i of client.count(3)) counted.push(i);
    };
    await settled(count());
    expect(counted).to.deep.equal([1, 2, 3]);
    await settled(client.log('a line'));
    await settled(client.ping());
    expect(lines).to.deep.equal(['a line']);
    await scene.end();
  });

  it('validates requests and answers, where it has schemas', async () => {
    const { near, far, scene, settled, rejected } = await talk('shm');
    let runs = 0;
    calculator.serve(far, {
      add: () => 0,
      root: () => {
        runs++;
        return -1;
      },
      async *count() {
        yield 1;
        yield 0;
      },
      log: () => {},
      ping: () => {},
    });
    const client = calculator.client(near);
    const refused = await rejected(client.root(-4), 'ERR_ANSWER');
    expect(refused.cause).to.include({ code: 'ERR_CODEC' });
    expect(refused.message).to.match(/-4 is not positive/);
    expect(runs).to.equal(0);
    await rejected(client.root(4), 'ERR_CODEC');
    expect(runs).to.equal(1);
    const counted: number[] = [];
    const count = async (to: number): Promise<void> => {
      for await (const i of client.count(to)) counted.push(i);
    };
    await rejected(count(1), 'ERR_CODEC');
    expect(counted).to.deep.equal([1]);
    expect((await rejected(count(-1), 'ERR_ANSWER')).cause).to.include({ code: 'ERR_CODEC' });
    await settled(client.ping());
    await scene.end();
  });

  it('needs handlers for all of its methods, and names that differ', async () => {
    const { far, scene } = await talk('shm');
    expectCode(() => calculator.serve(far, {} as never), 'ERR_OPTION');
    expectCode(() => service({ a: method({ method: 1 }), b: method({ method: 1 }) }), 'ERR_OPTION');
    await scene.end();
  });
});
