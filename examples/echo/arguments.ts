/** The command line of the echo programs. Both take all options, so that both can be started with the same. */
import { parseArgs } from 'node:util';
import { IDLE_STRATEGIES, type IdleStrategy } from 'tcpshm';
import { UsageError } from '../program.js';
import { MAX_SIZE, MIN_SIZE } from './content.js';

const TRANSPORTS = ['auto', 'shm', 'tcp', 'inproc'] as const;

export interface EchoArguments {
  readonly name: string;
  readonly serverName: string;
  readonly host: string;
  readonly port: number;
  readonly transport: (typeof TRANSPORTS)[number];
  readonly directory: string;
  /** Undefined for the library's default. */
  readonly sharedDirectory: string | undefined;
  readonly count: number;
  readonly seconds: number;
  readonly window: number;
  /** Of every message with its header; 0 for the four sizes in turn. */
  readonly size: number;
  readonly idle: IdleStrategy;
  readonly reconnectSeconds: number;
  /** Replies from one line of progress to the next; 0 for none. */
  readonly progress: number;
  readonly removeSessions: boolean;
  readonly json: boolean;
}

const HELP = `
  --name NAME              name of this side (client: echo-client, server: echo-server)
  --server-name NAME       name of the server (echo-server)
  --host HOST              address (127.0.0.1)
  --port PORT              port (4590); for the server 0 is any free one
  --transport TRANSPORT    auto, shm, tcp or inproc (auto); the server accepts only this, with auto all.
                           inproc: the client runs the server in a thread of its own
  --directory FOLDER       where sessions are kept (./sessions)
  --shared-directory FOLDER  where shared memory is kept (/dev/shm/tcpshm-<uid>)
  --idle STRATEGY          yield or busy (yield)
  --remove-sessions        remove the sessions of this side at the end
  --json                   print one line of JSON
  --help

for the client:
  --count COUNT            messages to send in this run (100000)
  --seconds SECONDS        stop sending after so long (no limit)
  --window COUNT           messages that may be in flight (1)
  --size BYTES             of every message, header included (16, 36, 68 and 200 in turn)
  --reconnect-seconds SECONDS  how long the server may be away or silent (30)
  --progress COUNT         a line on stderr for so many replies (none)
`;

/** Reads the command line. Prints help and ends the process for `--help`; throws for what cannot be understood. */
export function echoArguments(program: 'client' | 'server'): EchoArguments {
  const { values } = parseArgs({
    options: {
      name: { type: 'string' },
      'server-name': { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '4590' },
      transport: { type: 'string', default: 'auto' },
      directory: { type: 'string', default: './sessions' },
      'shared-directory': { type: 'string' },
      count: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '0' },
      window: { type: 'string', default: '1' },
      size: { type: 'string', default: '0' },
      idle: { type: 'string', default: 'yield' },
      'reconnect-seconds': { type: 'string', default: '30' },
      progress: { type: 'string', default: '0' },
      'remove-sessions': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(`node dist/examples/echo/${program}.js [options]\n${HELP}`);
    process.exit(0);
  }
  return {
    name: values.name ?? `echo-${program}`,
    serverName: values['server-name'] ?? (program === 'server' ? values.name : undefined) ?? 'echo-server',
    host: values.host,
    port: integer('port', values.port, program === 'server' ? 0 : 1, 65535),
    transport: choice('transport', values.transport, TRANSPORTS),
    directory: values.directory,
    sharedDirectory: values['shared-directory'],
    count: integer('count', values.count, 1, 2 ** 50),
    seconds: integer('seconds', values.seconds, 0, 86_400),
    window: integer('window', values.window, 1, 2 ** 20),
    size: values.size === '0' ? 0 : integer('size', values.size, MIN_SIZE, MAX_SIZE),
    idle: choice('idle', values.idle, IDLE_STRATEGIES),
    reconnectSeconds: integer('reconnect-seconds', values['reconnect-seconds'], 1, 86_400),
    progress: integer('progress', values.progress, 0, 2 ** 50),
    removeSessions: values['remove-sessions'],
    json: values.json,
  };
}

export function integer(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${option} must be an integer from ${least} to ${most}, got '${text}'`);
}

function choice<const T extends string>(option: string, text: string, values: readonly T[]): T {
  if ((values as readonly string[]).includes(text)) return text as T;
  throw new UsageError(`--${option} must be one of ${values.join(', ')}, got '${text}'`);
}
