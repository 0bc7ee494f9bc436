import { expect } from 'chai';
import { cleanUp, Program } from './support.js';

describe('the examples with threads', () => {
  afterEach(cleanUp);

  it('workerThreads: every message comes back right', async () => {
    const example = new Program('workerThreads/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.include('the worker got a text: bye');
    expect(example.stdout).to.include('100001 messages sent, 100000 came back, 0 of them wrong');
  });

  it('writers: all messages of all writers come, each one’s in order', async () => {
    const example = new Program('writers/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.equal('100000 messages of 4 writers, 0 of them out of order\n');
  });

  it('channels: values, structs and a stream arrive as they were sent', async () => {
    const example = new Program('channels/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.equal(
      'order 1: coffee, receipt, due 2030-01-01\nSUM of the ticks: 10000\nA TEXT OF ANY LENGTH\n',
    );
  });

  it('piscina: the results of a task come through a ring, all of them', async () => {
    const example = new Program('piscina/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.match(/^41538 primes came through the ring, the largest 499979/);
    expect(example.stdout).to.include('the task says that it found 41538');
  });
});
