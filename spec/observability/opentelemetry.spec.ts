import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { expect } from 'chai';
import { RingPool, type TcpshmError } from '../../lib/index.js';
import { type Observed, type ObserveOptions, observe } from '../../lib/opentelemetry.js';
import { Scene } from '../peers/support.js';
import { TASKS } from '../pool/support.js';

const LONG_MS = 3_600_000;

interface Point {
  readonly value: number;
  readonly attributes: Record<string, unknown>;
}

interface Metric {
  readonly unit: string;
  readonly monotonic: boolean | null;
  readonly points: readonly Point[];
}

/** The SDK, whose reader collects when it is told to. */
class Collector {
  readonly #exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #provider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter: this.#exporter, exportIntervalMillis: LONG_MS })],
  });
  readonly #stops: (() => void)[] = [];

  observe(subject: Observed, options: ObserveOptions = {}): () => void {
    const stop = observe(subject, { meter: this.#provider.getMeter('spec'), ...options });
    this.#stops.push(stop);
    return stop;
  }

  async collect(): Promise<ReadonlyMap<string, Metric>> {
    this.#exporter.reset();
    await this.#provider.forceFlush();
    const metrics = new Map<string, Metric>();
    for (const { scopeMetrics } of this.#exporter.getMetrics()) {
      for (const scope of scopeMetrics) {
        for (const { descriptor, dataPointType, dataPoints, ...rest } of scope.metrics) {
          const monotonic =
            dataPointType === DataPointType.SUM ? (rest as { isMonotonic: boolean }).isMonotonic : null;
          metrics.set(descriptor.name, { unit: descriptor.unit, monotonic, points: dataPoints as Point[] });
        }
      }
    }
    return metrics;
  }

  async end(): Promise<void> {
    for (const stop of this.#stops) stop();
    await this.#provider.shutdown();
  }
}

/** The one value that has these attributes. */
function told(metrics: ReadonlyMap<string, Metric>, name: string, attributes: object): number {
  const points = (metrics.get(name)?.points ?? []).filter(({ attributes: own }) =>
    Object.entries(attributes).every(([key, value]) => own[key] === value),
  );
  expect(points, `points of ${name} with ${JSON.stringify(attributes)}`).to.have.length(1);
  return (points[0] as Point).value;
}

describe('the metrics for OpenTelemetry', () => {
  let scene: Scene;
  let collector: Collector;
  beforeEach(() => {
    scene = new Scene();
    collector = new Collector();
  });
  afterEach(async () => {
    await collector.end();
    await scene.end();
  });

  it('are those of a connection, by its names and transport', async () => {
    const { local, remote } = await scene.pair('tcp native', { onMessage: () => {} });
    collector.observe(local, { attributes: { 'service.instance.id': 'one' } });
    local.send(new Uint8Array(8));
    local.send(new Uint8Array(8));
    remote.send(new Uint8Array(24));
    await scene.until(() => local.popped === 1, 'the message');
    await scene.until(() => remote.stats().incoming.depthMessages === 2, 'the others');
    const metrics = await collector.collect();
    const names = {
      'tcpshm.local.name': scene.clientName,
      'tcpshm.remote.name': scene.serverName,
      'tcpshm.transport': 'tcp',
      'service.instance.id': 'one',
    };
    const pushed = { ...names, 'messaging.system': 'tcpshm', 'messaging.operation.name': 'push' };
    expect(told(metrics, 'messaging.client.sent.messages', pushed)).to.equal(2);
    const popped = { ...pushed, 'messaging.operation.name': 'pop' };
    expect(told(metrics, 'messaging.client.consumed.messages', popped)).to.equal(1);
    expect(told(metrics, 'tcpshm.sent.size', names)).to.equal(32);
    expect(told(metrics, 'tcpshm.consumed.size', names)).to.equal(32);
    expect(told(metrics, 'tcpshm.connection.up', names)).to.equal(1);
    expect(told(metrics, 'tcpshm.connection.logins', names)).to.equal(1);
    const outgoing = { ...names, 'tcpshm.queue': 'outgoing' };
    expect(told(metrics, 'tcpshm.queue.messages', outgoing)).to.equal(2);
    expect(told(metrics, 'tcpshm.queue.size', outgoing)).to.equal(32);
    expect(told(metrics, 'tcpshm.queue.limit', outgoing)).to.equal(4096);
    expect(told(metrics, 'tcpshm.queue.messages', { 'tcpshm.queue': 'incoming' })).to.equal(0);
    expect(told(metrics, 'tcpshm.network.io', { ...names, 'network.io.direction': 'transmit' })).to.equal(
      local.stats().wireSentBytes,
    );
    expect(metrics.get('messaging.client.sent.messages')).to.include({ unit: '{message}', monotonic: true });
    expect(metrics.get('tcpshm.queue.messages')).to.include({ unit: '{message}', monotonic: false });
    // No heartbeat was answered.
    expect(metrics.get('tcpshm.heartbeat.round_trip')?.points ?? []).to.deep.equal([]);
  });

  it('have round trips in seconds', async () => {
    const times = { heartbeatIntervalMs: 5, connectionTimeoutMs: 10_000 };
    const { local } = await scene.pair('tcp native', times, times);
    collector.observe(local);
    await scene.until(() => local.stats().roundTripMs !== null, 'heartbeats');
    const metrics = await collector.collect();
    const ms = local.stats().roundTripMs as number;
    expect(told(metrics, 'tcpshm.heartbeat.round_trip', {})).to.equal(ms / 1000);
  });

  for (const perConnection of [true, false]) {
    it(`are those of both peers, ${perConnection ? 'each connection by itself' : 'in sums'}`, async () => {
      const { server, client, local, remote } = await scene.pair('shm');
      collector.observe(server, { perConnection });
      collector.observe(client, { perConnection });
      local.send('a');
      await scene.until(() => remote.popped === 1, 'the message');
      const metrics = await collector.collect();
      const [client_, server_] = [scene.clientName, scene.serverName].map((name) => ({
        'tcpshm.local.name': name,
      })) as [object, object];
      expect(told(metrics, 'tcpshm.connections', server_)).to.equal(1);
      expect(told(metrics, 'tcpshm.connections', client_)).to.equal(1);
      expect(told(metrics, 'messaging.client.sent.messages', client_)).to.equal(1);
      expect(told(metrics, 'messaging.client.consumed.messages', server_)).to.equal(1);
      const admitted = { ...server_, 'tcpshm.login.outcome': 'admitted' };
      expect(told(metrics, 'tcpshm.logins', admitted)).to.equal(1);
      const named = metrics.get('tcpshm.queue.messages')?.points.length ?? 0;
      expect(named).to.equal(perConnection ? 4 : 0);
      await client.close();
      await scene.until(() => remote.state !== 'connected', 'the end');
      remote.close();
      const after = await collector.collect();
      expect(told(after, 'tcpshm.connections', server_)).to.equal(0);
      // A connection that is closed has left; sums stay.
      if (!perConnection) expect(told(after, 'messaging.client.sent.messages', client_)).to.equal(1);
    });
  }

  it('are those of a pool', async () => {
    const pool = new RingPool({ filename: TASKS, minThreads: 1, maxThreads: 1 });
    collector.observe(pool);
    await pool.run({ a: 1, b: 2 });
    const metrics = await collector.collect();
    expect(told(metrics, 'tcpshm.pool.tasks.completed', {})).to.equal(1);
    expect(told(metrics, 'tcpshm.pool.threads', { 'tcpshm.thread.state': 'up' })).to.equal(1);
    expect(told(metrics, 'tcpshm.pool.tasks', { 'tcpshm.task.state': 'queued' })).to.equal(0);
    expect(told(metrics, 'tcpshm.pool.utilization', {})).to.be.within(0, 1);
    await pool.close();
  });

  it('end when that is asked for, once or twice', async () => {
    const { local, remote } = await scene.pair('inproc');
    const stop = collector.observe(local);
    local.send('a');
    await scene.until(() => remote.popped === 1, 'the message');
    expect(told(await collector.collect(), 'messaging.client.sent.messages', {})).to.equal(1);
    stop();
    stop();
    let asked = 0;
    local.stats = () => {
      asked++;
      throw new Error('asked again');
    };
    await collector.collect();
    expect(asked).to.equal(0);
  });

  it('need something that has numbers, and options that can be meant', () => {
    const code = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        return (error as TcpshmError).code;
      }
      return 'none';
    };
    expect(code(() => observe({} as never))).to.equal('ERR_OPTION');
    expect(code(() => observe({} as never, { perConnection: 1 } as never))).to.equal('ERR_OPTION');
    expect(code(() => observe({} as never, null as never))).to.equal('ERR_OPTION');
  });
});
