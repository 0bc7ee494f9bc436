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

  it('port: every answer comes back right, and the end is seen', async () => {
    const example = new Program('port/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.match(/^100000 answers, 0 of them wrong\n10000 questions, each awaited/);
    expect(example.stdout).to.include('the worker has seen the end');
  });

  for (const options of [[], ['--piscina']]) {
    it(`pool: the results of all tasks are right ${options}`, async () => {
      const example = new Program('pool/main', options);
      expect(await example.ended()).to.equal(0);
      expect(example.stdout).to.match(/^20000 tasks at once: \d+ per second\n2000 tasks, each awaited: /);
      expect(example.stdout).to.include('an error of a task: a text is a string, got number\n');
      expect(example.stdout).to.include('0 results were wrong');
    });
  }

  it('destinations: all requests are answered, though one of two servers goes away', async () => {
    const example = new Program('destinations/main', []);
    expect(await example.ended()).to.equal(0);
    const [, first] = /^trader-0 is connected to (east|west)\n1 from \1\n/.exec(example.stdout) ?? [];
    expect(example.stdout).to.include(`\n${first} goes away\n`);
    const other = first === 'east' ? 'west' : 'east';
    expect(example.stdout).to.match(new RegExp(`\n20 answers, the last: 361 from ${other}\n$`));
  });

  it('relay: a request goes through a server, which tells all others the news', async () => {
    const example = new Program('relay/main', []);
    expect(await example.ended()).to.equal(0);
    const heard = ['anna', 'bert'].map((name) => `${name} has heard: the market is open\n`).join('');
    expect(example.stdout).to.equal(`Good day, front.\n${heard}sent to 2\n`);
  });
});
