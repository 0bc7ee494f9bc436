import { parseArgs } from 'node:util';
import { type CompareRequest, parseCompare } from './compare/request.js';

/** The benchmarks that there are. */
export const BENCHMARKS = [
  'rtt',
  'throughput',
  'bandwidth',
  'peers',
  'latency',
  'memory',
  'messaging',
  'waiting',
  'everyday',
  'scale',
  'durability',
] as const;
export type Benchmark = (typeof BENCHMARKS)[number];
/** One of them, or all in turn. */
export type Choice = Benchmark | 'all';

export const USAGE = `usage: npm run -s bench -- [BENCHMARK] [--quick] [--json FILE] [--html FILE] [--directory DIR]
       npm run -s bench -- compare BASE.json [NEW.json]

benchmarks (all of them, in turn, where none is named)
  rtt          round trips of mixed small messages: our transports, their floors, and peers
  throughput   small messages one way, as fast as they go
  bandwidth    large messages, written once and read once
  peers        what else carries messages between threads and processes, beside ours
  latency      round trips of messages that leave at a fixed rate
  memory       what many messages leave behind, and what a client takes
  messaging    requests and their answers, one at a time, many at once, and beside a large stream; and over peers
  waiting      round trips of sides that sleep meanwhile or leave room for other work, and what idle connections cost
  everyday     objects, structs, ports, pools and loops of values, each beside what Node.js has
  scale        round trips of one connection alone and beside many idle ones; two threads of groups and one
  durability   what it costs to have messages on a disk: throughput, and single flushes next to fdatasync

options
  --quick          about a minute or less for each, with fewer and shorter measurements
  --json FILE      also write the results as JSON; '-' is standard output, and the table goes to standard error
  --html FILE      also write the results as a page with plots, which needs nothing but a browser
  --directory DIR  durability: a folder on the disk to measure; default is the system's for temporary files
  --help           this text

compare tells what has become worse or better from one report to another, beyond the noise. Without NEW.json it first
measures again what BASE.json has, in the same way. The exit code is 1 if anything is worse.
`;

export interface RunRequest {
  readonly kind: 'run';
  readonly benchmark: Choice;
  readonly quick: boolean;
  /** Where the JSON goes, '-' for standard output; undefined for nowhere. */
  readonly json: string | undefined;
  /** Where the page goes; undefined for nowhere. */
  readonly html: string | undefined;
  /** On the disk to measure; undefined for the system's folder for temporary files. */
  readonly directory: string | undefined;
}

export type Request =
  | RunRequest
  | CompareRequest
  | { readonly kind: 'help' }
  | { readonly kind: 'misuse'; readonly message: string };

/** `words` are those after the program's name. */
export function parseArguments(words: readonly string[]): Request {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(words);
  } catch (error) {
    return { kind: 'misuse', message: (error as Error).message };
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  const [name, ...more] = positionals;
  if (name === 'compare') return parseCompare(more, values);
  const benchmark = name === undefined ? 'all' : BENCHMARKS.find((each) => each === name);
  if (benchmark === undefined) {
    return { kind: 'misuse', message: `there is no benchmark '${name}', only: ${BENCHMARKS.join(', ')}` };
  }
  if (more.length > 0)
    return { kind: 'misuse', message: `one benchmark at a time, got also '${more.join(' ')}'` };
  if (values.json === '') return { kind: 'misuse', message: "--json needs the name of a file, or '-'" };
  if (values.html === '') return { kind: 'misuse', message: '--html needs the name of a file' };
  if (values.directory === '') return { kind: 'misuse', message: '--directory needs the name of a folder' };
  if (values.directory !== undefined && benchmark !== 'durability' && benchmark !== 'all') {
    return { kind: 'misuse', message: `--directory is for durability, ${benchmark} measures no disk` };
  }
  const { quick, json, html, directory } = values;
  return { kind: 'run', benchmark, quick, json, html, directory };
}

function parse(words: readonly string[]) {
  return parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      html: { type: 'string' },
      directory: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
}
