import { expect } from 'chai';
import { cleanUp, Program } from './support.js';

describe('the examples with threads, and that with numbers', () => {
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

  it('messaging: a service is asked, told, read and uploaded to', async () => {
    const example = new Program('messaging/main', []);
    expect(await example.ended()).to.equal(0);
    const lines = example.stdout.trimEnd().split('\n');
    expect(lines).to.deep.equal([
      'the server was told: good morning',
      'tea: 4',
      'tea: 3 pieces',
      'coffee: 6 pieces',
      'uploaded 10000000 bytes, ffa63298',
      'ERR_ANSWER: RangeError, there is no gold',
      'ERR_TIMEOUT',
      'the sleeper was woken',
    ]);
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

  it('portProcesses: every question is answered, whatever happens to who answers', async () => {
    const example = new Program('portProcesses/main', []);
    expect(await example.ended()).to.equal(0);
    expect(example.stdout).to.match(/^1000 answers of 2 processes, 0 of them wrong\n$/);
  });

  it('observability: the numbers and events are those of what it does', async () => {
    const example = new Program('observability/main', []);
    expect(await example.ended()).to.equal(0);
    const lines = example.stdout.trimEnd().split('\n');
    expect(lines.filter((line) => line.startsWith('event: '))).to.have.members([
      'event: tcpshm:connecting',
      'event: tcpshm:session-begun',
      'event: tcpshm:session-begun',
      'event: tcpshm:connected',
      'event: tcpshm:connected',
      'event: tcpshm:closed',
      'event: tcpshm:disconnected',
      'event: tcpshm:closed',
    ]);
    const others = lines.filter((line) => !line.startsWith('event: '));
    expect(others[0]).to.match(/^1000 messages were sent, of 11\d(\.\d+)? bytes on average$/);
    expect(others[1]).to.equal('the queue was full: true');
    expect(others[2]).to.match(/^at the most (9\d|100) % of it were taken up$/);
    expect(others.slice(3)).to.deep.equal([
      '10 messages were the most that a poll handed out',
      'a heartbeat takes less than a second',
      'shop has lost buyer: closed by peer',
      'logins: 1 admitted, 0 refused; 1000 messages',
    ]);
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
