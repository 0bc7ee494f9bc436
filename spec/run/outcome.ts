/** What became of the specs of a file. */
export interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  /** Of what has failed, for people; empty if nothing has. */
  readonly report: string;
}

/** Of a file that did not get to its end: that is a failure, whatever had passed until then. */
export function broken(file: string, why: string): Outcome {
  return { file, passed: 0, failed: 1, skipped: 0, durationMs: 0, report: `  ${file}: ${why}\n` };
}

/** The last line of a run. */
export function totals(outcomes: readonly Outcome[]): string {
  const sum = (of: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const skipped = sum((outcome) => outcome.skipped);
  const line = `${sum((outcome) => outcome.passed)} passed, ${sum((outcome) => outcome.failed)} failed`;
  return skipped === 0 ? line : `${line}, ${skipped} skipped`;
}
