/** The command line of the soak runs. */
import { parseArgs } from 'node:util';

export const SOAK_TRANSPORTS = ['inproc', 'shm', 'tcp'] as const;
export type SoakTransport = (typeof SOAK_TRANSPORTS)[number];

export interface KillArguments {
  readonly transport: SoakTransport;
  readonly kills: number;
  /** Where the report goes: a path, or '-' for stdout. */
  readonly json: string;
  readonly seed: number;
}

export const HELP = `node dist/spec/soak/main.js kill [options]

Kills a random side of a busy session at random moments, starts it again, and checks that nothing was lost.

  --transport TRANSPORT  inproc, shm or tcp (inproc: only the worker is killed, with terminate())
  --kills N              how often (15)
  --json FILE            where the report goes, '-' for stdout (-)
  --seed SEED            of all that is random, from 0 to 4294967295 (a random one; it is printed)
  --help

Exit code 0 when nothing was lost, duplicated or reordered, else 1; 2 for a command line that is not usable.
`;

/** The command line is not usable. */
export class UsageError extends Error {}

/** Null when help is wanted. Throws {@link UsageError}. */
export function killArguments(args: readonly string[]): KillArguments | null {
  const { values, positionals } = parsed(args);
  if (values.help) return null;
  if (positionals.length !== 1 || positionals[0] !== 'kill') {
    throw new UsageError(`expected 'kill', got '${positionals.join(' ')}'`);
  }
  const transport = SOAK_TRANSPORTS.find((known) => known === values.transport);
  if (transport === undefined) {
    throw new UsageError(
      `--transport must be one of ${SOAK_TRANSPORTS.join(', ')}, got '${values.transport ?? ''}'`,
    );
  }
  return {
    transport,
    kills: integer('kills', values.kills, 1, 1_000_000),
    json: values.json,
    seed:
      values.seed === undefined
        ? Math.floor(Math.random() * 2 ** 32)
        : integer('seed', values.seed, 0, 2 ** 32 - 1),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        transport: { type: 'string' },
        kills: { type: 'string', default: '15' },
        json: { type: 'string', default: '-' },
        seed: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function integer(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${option} must be an integer from ${least} to ${most}, got '${text}'`);
}
