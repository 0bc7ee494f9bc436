/**
 * Asks the registry for known faults of the packages that are locked, and fails where there are some. A registry that does not
 * answer (no network, or a mirror without that service) is told of, and is nobody's fault.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PATIENCE_MS = 30_000;

/** What `npm audit --json` prints: a report, or what has gone wrong. */
interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity?: string }>>;
  readonly statusCode?: number;
  readonly error?: { readonly code?: string };
}

/** `unanswered` says why there is no report. */
export type Verdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'faults'; readonly packages: readonly string[] }
  | { readonly kind: 'unanswered'; readonly why: string };

export function verdictOf(printed: string): Verdict {
  let report: Report;
  try {
    report = JSON.parse(printed) as Report;
  } catch {
    return { kind: 'unanswered', why: printed === '' ? 'nothing was said in time' : 'no report was printed' };
  }
  const { vulnerabilities, statusCode, error } = report;
  if (vulnerabilities === undefined) {
    return { kind: 'unanswered', why: `${error?.code ?? `status ${statusCode ?? 'unknown'}`}` };
  }
  const packages = Object.entries(vulnerabilities).map(
    ([name, { severity = 'unknown' }]) => `${name} (${severity})`,
  );
  return packages.length === 0 ? { kind: 'clean' } : { kind: 'faults', packages };
}

function audit(): void {
  const { stdout } = spawnSync(
    'npm',
    ['audit', '--json', '--fetch-retries=0', `--fetch-timeout=${PATIENCE_MS}`],
    {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 2 * PATIENCE_MS,
    },
  );
  const verdict = verdictOf(stdout ?? '');
  if (verdict.kind === 'clean') console.log('audit: no known faults in what is locked');
  if (verdict.kind === 'unanswered')
    console.log(`audit: not done, the registry does not answer it: ${verdict.why}`);
  if (verdict.kind === 'faults') {
    console.error(`audit: known faults of ${verdict.packages.join(', ')}; npm audit has the details`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) audit();
