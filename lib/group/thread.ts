import { fileURLToPath } from 'node:url';
import { MessageChannel, type ResourceLimits } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { type BackoffSettings, delayBefore } from '../session/backoff.js';
import { revivedError } from '../thread/plainError.js';
import { SoloThread } from '../thread/soloThread.js';
import type { HostSettings } from './parcel.js';
import { type FromGroup, Line, type ToGroup } from './protocol.js';
import type { GroupWork } from './threadMain.js';
import { afterEnd, combined, type GroupThreadStats, loadReport, newReportMemory } from './threadStats.js';

const MAIN = fileURLToPath(new URL('./threadMain.js', import.meta.url));

/** How long a thread may take to end in order, before it is ended. */
const STOP_MS = 5000;

/** When a thread that has ended is replaced: soon the first time, ever later if the next ones do not live long. */
const REPLACEMENT: BackoffSettings = {
  initialDelayMs: 50,
  maxDelayMs: 10_000,
  factor: 2,
  jitter: 0.5,
  maxAttempts: Number.POSITIVE_INFINITY,
};
const LONG_LIFE_MS = 10_000;

export interface ThreadSettings {
  readonly group: number;
  /** What `import` takes. */
  readonly module: string;
  readonly cpus: readonly number[] | null;
  readonly resourceLimits: ResourceLimits | null;
  readonly host: HostSettings;
}

export interface ThreadListener {
  /** The thread is up. */
  started(): void;
  heard(message: FromGroup): void;
  /** The thread has ended by itself: all that it had open is free, and what it has said was heard. It is replaced. */
  ended(error: TcpshmError): void;
}

/**
 * The thread of a group as the server's thread sees it: a piscina of one worker with one long task. Starts it, replaces
 * it when it ends, and stops it. The event loop must turn for that.
 */
export class GroupThread {
  readonly #settings: ThreadSettings;
  readonly #listener: ThreadListener;
  readonly #solo: SoloThread;
  #line: Line<ToGroup, FromGroup> | null = null;
  /** Since when it can be given connections; null while it cannot. */
  #upSince: number | null = null;
  /** The thread that there is, until it has ended. */
  #life: Promise<void> | null = null;
  /** Who waits for the first start. */
  #start: { readonly resolve: () => void; readonly reject: (error: TcpshmError) => void } | null = null;
  /** What is wrong, as the thread has told. */
  #failure: Error | null = null;
  #stopping = false;
  /** Ends the thread, whatever it is at. */
  #abort = new AbortController();
  /** Threads in a row that have not lived long. */
  #shortLives = 0;
  #starts = 0;
  /** What those before have told of themselves, and where this one does. */
  #before = loadReport(null);
  #report: Float64Array | null = null;
  /** When the next one is started, by the clock of `poll`; NaN until that was seen. */
  #dueAt = Number.NaN;

  constructor(settings: ThreadSettings, listener: ThreadListener) {
    this.#settings = settings;
    this.#listener = listener;
    const { resourceLimits } = settings;
    this.#solo = new SoloThread({
      filename: MAIN,
      name: 'runGroup',
      ...(resourceLimits !== null && { resourceLimits }),
    });
  }

  /** Whether it can be given connections. */
  get up(): boolean {
    return this.#upSince !== null && !this.#stopping;
  }

  get stats(): GroupThreadStats {
    const report = combined(this.#before, loadReport(this.#report));
    return Object.freeze({ group: this.#settings.group, up: this.up, starts: this.#starts, ...report });
  }

  /** Starts it. Rejects with ERR_WORKER and the cause when it ends before it is up. From then on it is replaced. */
  start(): Promise<void> {
    this.#stopping = false;
    this.#abort = new AbortController();
    return new Promise((resolve, reject) => {
      this.#start = { resolve, reject };
      this.#begin();
    });
  }

  post(message: ToGroup): void {
    this.#line?.post(message);
  }

  /** Hears what it has said, and replaces it when that is due. */
  poll(now: number): void {
    this.#line?.poll();
    if (this.#life !== null || this.#stopping) return;
    if (Number.isNaN(this.#dueAt)) {
      this.#dueAt = now + delayBefore(Math.max(1, this.#shortLives), REPLACEMENT, Math.random());
    }
    if (now < this.#dueAt) return;
    this.#dueAt = Number.NaN;
    this.#begin();
  }

  /** Lets it end in order, its connections closed; ends it if it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#life === null) return;
    this.post({ kind: 'stop' });
    const timer = setTimeout(() => this.#abort.abort(), STOP_MS);
    await this.#life;
    clearTimeout(timer);
  }

  #begin(): void {
    this.#life = this.#live().then((cause) => {
      this.#life = null;
      const { message } = cause as Error;
      const wasUp = this.#upSince !== null;
      const error = new TcpshmError(
        'ERR_WORKER',
        `the thread of group ${this.#settings.group} ${wasUp ? 'has ended' : 'could not be started'}: ${message}`,
        cause,
      );
      const livedLong = wasUp && performance.now() - (this.#upSince as number) >= LONG_LIFE_MS;
      this.#shortLives = livedLong ? 0 : this.#shortLives + 1;
      this.#upSince = null;
      const start = this.#start;
      this.#start = null;
      if (start !== null) start.reject(error);
      else if (!this.#stopping) this.#listener.ended(error);
    });
  }

  /** The life of a thread, up to when all that it had is free: gives why it has ended. Never rejects. */
  async #live(): Promise<unknown> {
    const { group, module, cpus, host: settings } = this.#settings;
    const { port1, port2 } = new MessageChannel();
    const line = new Line<ToGroup, FromGroup>(port1, (message) => this.#hear(message));
    this.#failure = null;
    try {
      if (!this.#solo.loaded) await this.#solo.load();
      if (this.#stopping) return new Error('it was stopped');
      const report = newReportMemory();
      this.#report = report;
      const work: GroupWork = { group, port: port2, module, cpus, settings, report };
      this.#line = line;
      const begun = this.#solo.begin(work, [port2], this.#abort.signal);
      const task = begun.task.then(
        () => new Error('its task came to an end'),
        (error: unknown) => error,
      );
      // Its end comes without that of the task where it did not get as far as that.
      await Promise.race([task, begun.gone]);
      // Where the task has come to its end, the thread is still there.
      await this.#solo.destroy();
      await begun.gone;
      line.poll();
      return this.#failure ?? this.#solo.failure ?? (await task);
    } catch (error) {
      return error;
    } finally {
      this.#before = afterEnd(this.#before, loadReport(this.#report));
      this.#report = null;
      this.#line = null;
      line.close();
      port2.close();
    }
  }

  #hear(message: FromGroup): void {
    if (message.kind === 'failed') {
      this.#failure = revivedError(message.error);
      return;
    }
    if (message.kind === 'started') {
      this.#upSince = performance.now();
      this.#starts++;
      this.#listener.started();
      this.#start?.resolve();
      this.#start = null;
      return;
    }
    this.#listener.heard(message);
  }
}
