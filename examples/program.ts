/** What the programs among the examples have in common: how they fail. */

/** The command line is not usable. */
export class UsageError extends Error {}

/** Errors of `parseArgs`, and of the library for options that it was given. */
const USAGE_CODES = /^ERR_(PARSE_ARGS_|NAME$|OPTION$|CAPACITY$)/;

/** Runs a program: an error goes to stderr as one line, with exit code 2 for a bad command line, else 1. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const usage = error instanceof UsageError || USAGE_CODES.test(code ?? '');
    console.error(usage ? `${message}\nTry --help.` : message);
    process.exitCode = usage ? 2 : 1;
  }
}
