/** The echo client: stays connected while an exchange is going on, however often the server goes away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, type TcpshmError, type Transport } from 'tcpshm';
import type { EchoArguments } from './arguments.js';
import { type EchoReport, Exchange } from './exchange.js';
import { pollUntil } from './polling.js';

const CHECK_MS = 50;
/** From one attempt to connect to the next: doubled every time. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 500;
/** The server is not there (not yet, not any more), or has not noticed yet that our predecessor is gone. */
const WORTH_RETRYING = ['ERR_CONNECT', 'ERR_LOGIN_TIMEOUT', 'ERR_ALREADY_CONNECTED'];

/** Sends and checks `options.count` messages, or as many as were sent when `stop` aborts. */
export async function runEchoClient(options: EchoArguments, stop: AbortSignal): Promise<EchoReport> {
  const { name, directory, sharedDirectory, idle, progress, removeSessions } = options;
  let polling = new AbortController();
  let exchange: Exchange | null = null;
  const client = new Client({
    name,
    directory,
    ...(sharedDirectory !== undefined && { sharedDirectory }),
    onMessage(_, message) {
      if (exchange === null) return;
      exchange.take(message);
      if (progress > 0 && exchange.replies % progress === 0) console.error(`${exchange.replies} replies`);
      if (exchange.finished) polling.abort();
    },
    onDisconnect(connection, reason, error) {
      console.error(`${connection.remoteName} is gone: ${error?.message ?? reason}`);
      polling.abort();
    },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const connection = await connect(client, options, options.transport, stop);
    const run = new Exchange(connection, options);
    const patience = new Patience(options.reconnectSeconds * 1000);
    const endMs = performance.now() + (options.seconds * 1000 || Number.POSITIVE_INFINITY);
    exchange = run;
    timer = setInterval(() => {
      if (stop.aborted || performance.now() >= endMs) run.stop();
      run.send();
      if (run.finished || patience.endsWith(run.replies)) polling.abort();
    }, CHECK_MS);
    while (!run.finished && !patience.ended) {
      // The connection is the same object as before, with all that was in flight.
      if (connection.state !== 'connected') await connect(client, options, connection.transport, stop);
      patience.renew();
      polling = new AbortController();
      run.send();
      await pollUntil(polling.signal, client, idle);
    }
    return run.report();
  } finally {
    clearInterval(timer);
    await client.close({ removeSessions });
  }
}

/** Connects, again and again while that makes sense. */
async function connect(
  client: Client,
  options: EchoArguments,
  transport: Transport | 'auto',
  stop: AbortSignal,
): Promise<Connection> {
  const { host, port, serverName } = options;
  // Which size all messages have, for the server to know.
  const login = Buffer.from(String(options.size));
  const deadlineMs = performance.now() + options.reconnectSeconds * 1000;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      const connection = await (transport === 'inproc'
        ? client.connect({ transport, server: serverName, login })
        : client.connect({ host, port, transport, server: serverName, login }));
      console.error(`connected to ${connection.remoteName} over ${connection.transport}`);
      return connection;
    } catch (error) {
      const { code } = error as TcpshmError;
      if (!WORTH_RETRYING.includes(code) || stop.aborted || performance.now() + pauseMs > deadlineMs) {
        throw error;
      }
      await sleep(pauseMs);
    }
  }
}

/** How long a server that is connected may be silent: ends when nothing comes back for so long. */
class Patience {
  readonly #limitMs: number;
  #replies = -1;
  #sinceMs = 0;
  #ended = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get ended(): boolean {
    return this.#ended;
  }

  renew(): void {
    this.#sinceMs = performance.now();
  }

  /** Told how many replies there are by now. */
  endsWith(replies: number): boolean {
    if (replies !== this.#replies) this.renew();
    this.#replies = replies;
    this.#ended = performance.now() - this.#sinceMs > this.#limitMs;
    return this.#ended;
  }
}
