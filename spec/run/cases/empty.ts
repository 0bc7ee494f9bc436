/** For run.spec.ts: a file without a spec. */
export {};
