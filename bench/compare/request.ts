/** The command line of `compare`, and that of the run which a report came from. */
import type { Report } from '../report.js';

export interface CompareRequest {
  readonly kind: 'compare';
  /** Names of files. Without `now`, what is in `base` is measured again. */
  readonly base: string;
  readonly now: string | undefined;
  /** Where the report of what is measured again goes. */
  readonly json: string | undefined;
  readonly html: string | undefined;
}

interface Options {
  readonly quick: boolean;
  readonly json?: string | undefined;
  readonly html?: string | undefined;
  readonly directory?: string | undefined;
}

/** `files` are the words after 'compare'. */
export function parseCompare(
  files: readonly string[],
  { quick, json, html, directory }: Options,
): CompareRequest | { readonly kind: 'misuse'; readonly message: string } {
  const misuse = (message: string) => ({ kind: 'misuse', message }) as const;
  const [base, now, ...more] = files;
  if (base === undefined) return misuse('compare what? Name a report, as --json writes them, or two');
  if (more.length > 0) return misuse(`compare takes two reports at the most, got also '${more.join(' ')}'`);
  if (quick || directory !== undefined) {
    return misuse(
      'compare measures as the first report was measured: it takes no --quick and no --directory',
    );
  }
  if (now !== undefined && (json !== undefined || html !== undefined)) {
    return misuse(
      'with two reports nothing is measured, and there is nothing to write for --json and --html',
    );
  }
  if (json === '' || json === '-') return misuse('--json needs the name of a file');
  if (html === '') return misuse('--html needs the name of a file');
  return { kind: 'compare', base, now, json, html };
}

/** The words of a command line that measures what a report has, in the same way. */
export function wordsOf(
  { environment }: Report,
  { json, html }: Pick<CompareRequest, 'json' | 'html'>,
): string[] {
  const { quick, disk } = environment;
  const benchmark: string = environment.benchmark;
  return [
    ...(benchmark === 'all' ? [] : [benchmark]),
    ...(quick ? ['--quick'] : []),
    ...(disk === undefined ? [] : [`--directory=${disk.directory}`]),
    ...(json === undefined ? [] : [`--json=${json}`]),
    ...(html === undefined ? [] : [`--html=${html}`]),
  ];
}
