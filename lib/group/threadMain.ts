/** What runs in the thread of a group, as the one task of its piscina worker, from its start to its end. */
import type { MessagePort } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { native } from '../memory/native.js';
import { drive, type Pollable } from '../poll/drive.js';
import { Renewal } from '../session/tenure.js';
import { plainError } from '../thread/plainError.js';
import { GroupHost, type HostListener } from './host.js';
import { type GroupModule, loadModule } from './module.js';
import type { HostSettings } from './parcel.js';
import { type FromGroup, Line, type ToGroup } from './protocol.js';
import { storeReport } from './threadStats.js';

/** The task. */
export interface GroupWork {
  readonly group: number;
  readonly port: MessagePort;
  /** What `import` takes. */
  readonly module: string;
  /** Null to run on any. */
  readonly cpus: readonly number[] | null;
  readonly settings: HostSettings;
  /** Where it tells of itself. */
  readonly report: Float64Array;
}

type GroupLine = Line<FromGroup, ToGroup>;

/** Resolves once it was told to stop, or when it could not start, which it has told then. */
export async function runGroup(work: GroupWork): Promise<void> {
  const stop = new AbortController();
  let host: GroupHost | null = null;
  const line: GroupLine = new Line(work.port, (message) => {
    if (message.kind === 'stop') stop.abort();
    else if (host !== null) obey(host, message, line);
    host?.waker.wake();
  });
  try {
    const module = await start(work, stop.signal);
    host = new GroupHost(work.group, module, work.settings, teller(line));
    host.waker.prepare();
    line.post({ kind: 'started' });
    await drive(polled(host, line, work), { signal: stop.signal });
    host.close();
    storeReport(work.report, host.report);
    await end(work.group, module, line);
  } catch (error) {
    if (host !== null) throw error;
    line.post({ kind: 'failed', error: plainError(error) });
  } finally {
    line.close();
  }
}

async function start({ group, module: url, cpus }: GroupWork, signal: AbortSignal): Promise<GroupModule> {
  if (cpus !== null) native().setAffinity(cpus);
  const module = await loadModule(url);
  await module.onStart?.({ group, signal });
  return module;
}

async function end(group: number, { onStop }: GroupModule, line: GroupLine): Promise<void> {
  try {
    await onStop?.();
  } catch (error) {
    const why = `group ${group}: onStop threw: ${error instanceof Error ? error.message : String(error)}`;
    line.post({ kind: 'error', error: plainError(new TcpshmError('ERR_HANDLER', why, error)) });
  }
}

function obey(host: GroupHost, message: Exclude<ToGroup, { kind: 'stop' }>, line: GroupLine): void {
  if (message.kind === 'take') host.take(message.id, message.parcel);
  else if (message.kind === 'pass') host.pass(message.id);
  else {
    host.look(message.id, performance.now());
    line.post({ kind: 'answer', question: message.question });
  }
}

function teller(line: GroupLine): HostListener {
  return {
    taken: (id) => line.post({ kind: 'taken', id }),
    passed: (id, parcel) => line.post({ kind: 'passed', id, parcel }),
    left: (id, removed, error) =>
      line.post({ kind: 'left', id, removed, error: error === null ? null : plainError(error) }),
    failed: (error) => line.post({ kind: 'error', error: plainError(error) }),
  };
}

/** With the line, which is heard also where the event loop does not turn; and tells of itself now and then. */
function polled(host: GroupHost, line: GroupLine, { settings, report }: GroupWork): Pollable {
  const reports = new Renewal(settings.heartbeatIntervalMs);
  return {
    waker: host.waker,
    alive: true,
    get closed() {
      return host.closed;
    },
    service: host.service,
    park: () => host.park(),
    pollMessages: (now) => host.pollMessages(now),
    pollControl(now) {
      line.poll();
      host.pollControl(now);
      if (reports.due(now)) storeReport(report, host.report);
    },
  };
}
