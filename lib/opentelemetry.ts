/**
 * Metrics of OpenTelemetry from what `stats()` tells: an entry of its own (`tcpshm/opentelemetry`), and the only file that
 * imports the API, which is an optional peer of this package.
 *
 * Nothing is measured for it: when a reader collects, `stats()` is asked. Names follow the semantic conventions for
 * messaging where those have one (in development, as of 1.40), and begin with `tcpshm.` else.
 *
 * @module tcpshm/opentelemetry
 */
import {
  type Attributes,
  type BatchObservableResult,
  type Meter,
  metrics,
  type Observable,
} from '@opentelemetry/api';
import { Client, type ClientStats } from './client.js';
import { Connection } from './connection/connection.js';
import type { ConnectionStats } from './connection/connectionStats.js';
import type { Tally } from './connection/tally.js';
import { TcpshmError } from './errors.js';
import { checkOptions, flag } from './options.js';
import type { RingPoolStats } from './pool/poolStats.js';
import { RingPool } from './pool/ringPool.js';
import { Server } from './server/server.js';
import type { ServerStats } from './server/serverStats.js';

/** What is told of a subject, and to whose instruments. */
export interface ObserveOptions {
  /** Whose instruments it uses. Default: that of the global provider, named 'tcpshm'. */
  readonly meter?: Meter;
  /** Attributes of everything that is told of it, beside those that it has by itself. */
  readonly attributes?: Attributes;
  /**
   * Of a server or client: each open connection by itself, with the name of its peer, from its login until it is closed.
   * Without that, sums over all that it has and had: for thousands of clients. Default true.
   */
  readonly perConnection?: boolean;
}

/** What can be observed. */
export type Observed = Client | Server | Connection | RingPool;

/**
 * Has the readers of OpenTelemetry collect the numbers of a client, a server, a connection or a pool, until the function
 * that it gives is called (twice is harmless), or of a connection until it is closed. Belongs to the thread of what is
 * observed. Connections in the threads of groups are told of by group: their modules can observe each by itself.
 *
 * Attributes: `tcpshm.local.name`, `tcpshm.remote.name`, `tcpshm.transport`; `tcpshm.group` for the thread of a group;
 * `tcpshm.queue` is 'outgoing' or 'incoming'. Times are in seconds. Counters begin with 0 when what is observed was made
 * in this process. Throws ERR_OPTION.
 */
export function observe(subject: Observed, options: ObserveOptions = {}): () => void {
  checkOptions(options);
  const perConnection = flag(options.perConnection, 'perConnection', true);
  const instruments = instrumentsOf(options.meter ?? metrics.getMeter('tcpshm'));
  const { attributes = {} } = options;
  const look = lookAt(subject, perConnection);
  const callback = (result: BatchObservableResult): void => {
    look((name, value, own) => {
      if (value !== null) result.observe(instruments.observables[name], value, { ...attributes, ...own });
    });
  };
  const observables = Object.values(instruments.observables);
  instruments.meter.addBatchObservableCallback(callback, observables);
  return () => instruments.meter.removeBatchObservableCallback(callback, observables);
}

type Kind = 'counter' | 'upDownCounter' | 'gauge';

/** Name, kind, unit (UCUM) and what it is. */
const METRICS = {
  sent: ['messaging.client.sent.messages', 'counter', '{message}', 'Messages that were published'],
  consumed: ['messaging.client.consumed.messages', 'counter', '{message}', 'Messages that were popped'],
  sentBytes: ['tcpshm.sent.size', 'counter', 'By', 'Bytes of the records of published messages'],
  consumedBytes: ['tcpshm.consumed.size', 'counter', 'By', 'Bytes of the records of popped messages'],
  full: ['tcpshm.queue.full.allocs', 'counter', '{call}', 'Calls of alloc that found no room'],
  fullPeriods: ['tcpshm.queue.full.periods', 'counter', '{period}', 'Times that the queue came to be full'],
  highWater: ['tcpshm.queue.high_water', 'gauge', 'By', 'Most bytes that the outgoing queue has held'],
  logins: ['tcpshm.connection.logins', 'counter', '{login}', 'Logins of this connection'],
  resumes: ['tcpshm.connection.resumes', 'counter', '{login}', 'Logins that went on with a session'],
  network: ['tcpshm.network.io', 'counter', 'By', 'Bytes over sockets, after the login'],
  wakeups: ['tcpshm.connection.wakeups', 'counter', '{wakeup}', 'Times that a connection was woken'],
  rings: ['tcpshm.connection.rings', 'counter', '{ring}', 'Times that the peer was woken'],
  depth: ['tcpshm.queue.messages', 'upDownCounter', '{message}', 'Messages that wait to be popped'],
  depthBytes: ['tcpshm.queue.size', 'upDownCounter', 'By', 'Bytes that are taken up'],
  capacity: ['tcpshm.queue.limit', 'upDownCounter', 'By', 'Capacity of the queue'],
  connected: ['tcpshm.connection.up', 'gauge', '1', 'Whether it is connected'],
  roundTrip: ['tcpshm.heartbeat.round_trip', 'gauge', 's', 'What heartbeats take to the peer and back'],
  connections: ['tcpshm.connections', 'upDownCounter', '{connection}', 'Connections'],
  sessions: ['tcpshm.sessions', 'upDownCounter', '{session}', 'Sessions that are open'],
  pending: ['tcpshm.logins.pending', 'upDownCounter', '{login}', 'Logins that are under way'],
  outcomes: ['tcpshm.logins', 'counter', '{login}', 'Logins that are over, by outcome'],
  sleeps: ['tcpshm.run.sleeps', 'counter', '{sleep}', 'Times that run has slept'],
  woken: ['tcpshm.run.wakeups', 'counter', '{wakeup}', 'Times that something has woken it'],
  starts: ['tcpshm.thread.starts', 'counter', '{thread}', 'Threads that were started'],
  deaths: ['tcpshm.thread.deaths', 'counter', '{thread}', 'Threads that have ended by themselves'],
  threads: ['tcpshm.pool.threads', 'upDownCounter', '{thread}', 'Threads that there are'],
  tasks: ['tcpshm.pool.tasks', 'upDownCounter', '{task}', 'Tasks that wait or run'],
  completed: ['tcpshm.pool.tasks.completed', 'counter', '{task}', 'Tasks that are settled'],
  utilization: ['tcpshm.pool.utilization', 'gauge', '1', 'Part of the time of threads that had tasks in it'],
} as const satisfies Readonly<Record<string, readonly [string, Kind, string, string]>>;

type Metric = keyof typeof METRICS;

interface Instruments {
  readonly meter: Meter;
  readonly observables: Readonly<Record<Metric, Observable>>;
}

const known = new WeakMap<Meter, Instruments>();

/** Made once for each meter. */
function instrumentsOf(meter: Meter): Instruments {
  const made = known.get(meter);
  if (made !== undefined) return made;
  const observables: Record<string, Observable> = {};
  for (const [key, [name, kind, unit, description]] of Object.entries(METRICS)) {
    if (kind === 'counter') observables[key] = meter.createObservableCounter(name, { unit, description });
    else if (kind === 'gauge') observables[key] = meter.createObservableGauge(name, { unit, description });
    else observables[key] = meter.createObservableUpDownCounter(name, { unit, description });
  }
  const instruments: Instruments = { meter, observables: observables as Record<Metric, Observable> };
  known.set(meter, instruments);
  return instruments;
}

type Tell = (name: Metric, value: number | null, attributes: Attributes) => void;

function lookAt(subject: Observed, perConnection: boolean): (tell: Tell) => void {
  if (subject instanceof Connection) return (tell) => tellConnection(tell, subject.stats());
  if (subject instanceof Server) {
    return (tell) => tellServer(tell, subject.stats(), perConnection ? subject.connections : null);
  }
  if (subject instanceof Client) {
    return (tell) => tellClient(tell, subject.stats(), perConnection ? subject.connections : null);
  }
  if (subject instanceof RingPool) return (tell) => tellPool(tell, subject.stats());
  throw new TcpshmError(
    'ERR_OPTION',
    `expected a client, a server, a connection or a pool, got ${typeof subject}`,
  );
}

function tellConnection(tell: Tell, stats: ConnectionStats): void {
  if (stats.state === 'closed') return;
  const { outgoing, incoming, roundTripMs } = stats;
  const names = {
    'tcpshm.local.name': stats.localName,
    'tcpshm.remote.name': stats.remoteName,
    'tcpshm.transport': stats.transport,
  };
  tellTally(tell, stats, names);
  tell('connected', stats.state === 'connected' ? 1 : 0, names);
  tell('roundTrip', roundTripMs === null ? null : roundTripMs / 1000, names);
  for (const [queue, depth] of [['outgoing', outgoing] as const, ['incoming', incoming] as const]) {
    const named = { ...names, 'tcpshm.queue': queue };
    tell('depth', depth.depthMessages, named);
    tell('depthBytes', depth.depthBytes, named);
    tell('capacity', depth.capacityBytes, named);
  }
}

function tellTally(tell: Tell, tally: Tally, names: Attributes): void {
  const pushing = { ...names, 'messaging.system': 'tcpshm', 'messaging.operation.name': 'push' };
  const popping = { ...names, 'messaging.system': 'tcpshm', 'messaging.operation.name': 'pop' };
  tell('sent', tally.sentMessages, pushing);
  tell('consumed', tally.receivedMessages, popping);
  tell('sentBytes', tally.sentBytes, names);
  tell('consumedBytes', tally.receivedBytes, names);
  tell('full', tally.fullAllocs, names);
  tell('fullPeriods', tally.fullPeriods, names);
  tell('highWater', tally.highWaterBytes, names);
  tell('logins', tally.logins, names);
  tell('resumes', tally.resumes, names);
  tell('network', tally.wireSentBytes, { ...names, 'network.io.direction': 'transmit' });
  tell('network', tally.wireReceivedBytes, { ...names, 'network.io.direction': 'receive' });
  tell('wakeups', tally.wakeups, names);
  tell('rings', tally.rings, names);
}

function tellServer(tell: Tell, stats: ServerStats, connections: readonly Connection[] | null): void {
  const names = { 'tcpshm.local.name': stats.name };
  tell('connections', stats.connected, names);
  tell('sessions', stats.sessions, names);
  tell('pending', stats.pendingLogins, names);
  tellOutcomes(tell, stats.admittedLogins, stats.refusedLogins, names);
  tellSleep(tell, stats, names);
  if (connections === null) {
    tellTally(tell, stats.total, names);
    return;
  }
  for (const connection of connections) tellConnection(tell, connection.stats());
  for (const thread of stats.threads) {
    const named = { ...names, 'tcpshm.group': thread.group };
    tellTally(tell, thread.total, named);
    tell('connections', thread.connections, named);
    tell('starts', thread.starts, named);
    tellSleep(tell, thread, named);
  }
}

function tellClient(tell: Tell, stats: ClientStats, connections: readonly Connection[] | null): void {
  const names = { 'tcpshm.local.name': stats.name };
  tell('connections', stats.connected ? 1 : 0, names);
  tell('sessions', stats.sessions, names);
  tell('pending', stats.attempts - stats.logins - stats.failures, names);
  tellOutcomes(tell, stats.logins, stats.failures, names);
  tellSleep(tell, stats, names);
  if (connections === null) tellTally(tell, stats.total, names);
  else for (const connection of connections) tellConnection(tell, connection.stats());
}

function tellOutcomes(tell: Tell, admitted: number, refused: number, names: Attributes): void {
  tell('outcomes', admitted, { ...names, 'tcpshm.login.outcome': 'admitted' });
  tell('outcomes', refused, { ...names, 'tcpshm.login.outcome': 'refused' });
}

function tellSleep(
  tell: Tell,
  { sleeps, wakeups }: Pick<ServerStats, 'sleeps' | 'wakeups'>,
  names: Attributes,
): void {
  tell('sleeps', sleeps, names);
  tell('woken', wakeups, names);
}

function tellPool(tell: Tell, stats: RingPoolStats): void {
  tellTally(tell, stats.total, {});
  tell('threads', stats.threadsUp, { 'tcpshm.thread.state': 'up' });
  tell('threads', stats.threads - stats.threadsUp, { 'tcpshm.thread.state': 'starting' });
  tell('starts', stats.threadsStarted, {});
  tell('deaths', stats.threadsDied, {});
  tell('tasks', stats.tasksQueued, { 'tcpshm.task.state': 'queued' });
  tell('tasks', stats.tasksRunning, { 'tcpshm.task.state': 'running' });
  tell('completed', stats.tasksCompleted, {});
  tell('utilization', stats.utilization, {});
}
