/** The command line of the soak runs. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { randomSeed } from '../support/random.js';
import { MAX_GROUPS } from './board.js';

export const SOAK_TRANSPORTS = ['inproc', 'shm', 'tcp'] as const;
export type SoakTransport = (typeof SOAK_TRANSPORTS)[number];

export const CUT_FLOWS = ['both', 'one-way', 'full', 'largest', 'mixed'] as const;
export type CutFlow = (typeof CUT_FLOWS)[number];

const WIRES = ['native', 'net'] as const;

export interface KillArguments {
  readonly transport: SoakTransport;
  readonly kills: number;
  /** Groups of the server in threads of their own; 0 for none. */
  readonly groups: number;
  readonly seed: number;
}

export interface CutArguments {
  readonly cuts: number;
  readonly flow: CutFlow;
  readonly wire: (typeof WIRES)[number];
  readonly seed: number;
}

/** Transports between processes. */
const BETWEEN_PROCESSES = ['shm', 'tcp'] as const;

export interface RequestsArguments {
  readonly transport: (typeof BETWEEN_PROCESSES)[number];
  readonly kills: number;
  readonly cuts: number;
  readonly seed: number;
}

export interface LargeArguments {
  readonly transport: (typeof BETWEEN_PROCESSES)[number];
  readonly gibibytes: number;
}

/** A run, and where its report goes: a path, or '-' for stdout. */
export type SoakArguments =
  | { readonly command: 'kill'; readonly json: string; readonly options: KillArguments }
  | { readonly command: 'cut'; readonly json: string; readonly options: CutArguments }
  | { readonly command: 'requests'; readonly json: string; readonly options: RequestsArguments }
  | { readonly command: 'large'; readonly json: string; readonly options: LargeArguments };

export const HELP = `node dist/spec/soak/main.js COMMAND [options]

  kill  Kills a random side of a busy session at random moments, starts it again, and checks that nothing was lost.

  --transport TRANSPORT  inproc, shm or tcp (inproc: only the worker is killed, with terminate())
  --kills N              how often (15)
  --groups N             the server has N groups in threads of their own, between which the connection is moved at
                         random, and these threads are killed as well; 0 for none (0)

  cut   Puts a relay between two processes that delays, tears, drops and resets at random, and checks the same.

  --cuts N               how often the connection is cut (30)
  --flow FLOW            both: mixed sizes in both directions; one-way; full: both queues full, then both sides receive;
                         largest: messages of the largest size; mixed: now this, now that (mixed)
  --wire WIRE            native or net: what moves the bytes of the two (native)

  requests  Kills the server of a messenger, and a process that asks, in turns, and cuts their links at random moments;
        checks that every request is settled as its mode promises, idempotent ones answered, whatever happens; and that
        all that was asked by those that were killed has one answer, by the ledger that they keep.

  --transport TRANSPORT  shm or tcp
  --kills N, --cuts N    how often (15, 15)

  large Sends a message that is larger than all memory through a process of 256 MiB of heap, and checks that it comes back
        as it was, and that no more than 512 MiB were resident.

  --transport TRANSPORT  shm or tcp
  --gib N                its size in GiB (8)

  --json FILE            where the report goes, '-' for stdout (-)
  --seed SEED            of all that is random, from 0 to 4294967295 (a random one; it is printed)
  --help

Exit code 0 when nothing was lost, duplicated or reordered, or else against what is promised, else 1; 2 for a command line that is not usable.
`;

const COMMON = {
  json: { type: 'string', default: '-' },
  seed: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;
const KILL = {
  ...COMMON,
  transport: { type: 'string' },
  kills: { type: 'string', default: '15' },
  groups: { type: 'string', default: '0' },
} as const;
const CUT = {
  ...COMMON,
  cuts: { type: 'string', default: '30' },
  flow: { type: 'string', default: 'mixed' },
  wire: { type: 'string', default: 'native' },
} as const;

const REQUESTS = {
  ...COMMON,
  transport: { type: 'string' },
  kills: { type: 'string', default: '15' },
  cuts: { type: 'string', default: '15' },
} as const;
const LARGE = {
  ...COMMON,
  transport: { type: 'string' },
  gib: { type: 'string', default: '8' },
} as const;

/** The command line is not usable. */
export class UsageError extends Error {}

/** Null when help is wanted. Throws {@link UsageError}. */
export function soakArguments(args: readonly string[]): SoakArguments | null {
  const [command, ...rest] = args;
  if (command === 'kill') {
    const { help, json, seed, transport, kills, groups } = parsed(rest, KILL);
    if (help) return null;
    const options = {
      transport: oneOf('transport', transport, SOAK_TRANSPORTS),
      kills: integer('kills', kills, 1, 1_000_000),
      groups: integer('groups', groups, 0, MAX_GROUPS),
      seed: seedFrom(seed),
    };
    return { command, json, options };
  }
  if (command === 'cut') {
    const { help, json, seed, cuts, flow, wire } = parsed(rest, CUT);
    if (help) return null;
    const options = {
      cuts: integer('cuts', cuts, 1, 1_000_000),
      flow: oneOf('flow', flow, CUT_FLOWS),
      wire: oneOf('wire', wire, WIRES),
      seed: seedFrom(seed),
    };
    return { command, json, options };
  }
  if (command === 'requests') {
    const { help, json, seed, transport, kills, cuts } = parsed(rest, REQUESTS);
    if (help) return null;
    const options = {
      transport: oneOf('transport', transport, BETWEEN_PROCESSES),
      kills: integer('kills', kills, 0, 1_000_000),
      cuts: integer('cuts', cuts, 0, 1_000_000),
      seed: seedFrom(seed),
    };
    return { command, json, options };
  }
  if (command === 'large') {
    const { help, json, transport, gib } = parsed(rest, LARGE);
    if (help) return null;
    const options = {
      transport: oneOf('transport', transport, BETWEEN_PROCESSES),
      gibibytes: positive('gib', gib, 1024),
    };
    return { command, json, options };
  }
  if (parsed(args, COMMON).help) return null;
  throw new UsageError("expected 'kill', 'cut', 'requests' or 'large', got ''");
}

function parsed<const T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...args], allowPositionals: false, options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function oneOf<const T extends string>(option: string, value: string | undefined, values: readonly T[]): T {
  const found = values.find((known) => known === value);
  if (found !== undefined) return found;
  throw new UsageError(`--${option} must be one of ${values.join(', ')}, got '${value ?? ''}'`);
}

function seedFrom(text: string | undefined): number {
  return text === undefined ? randomSeed() : integer('seed', text, 0, 2 ** 32 - 1);
}

function positive(option: string, text: string, most: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= most) return value;
  throw new UsageError(`--${option} must be a number above 0 and up to ${most}, got '${text}'`);
}

function integer(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${option} must be an integer from ${least} to ${most}, got '${text}'`);
}
