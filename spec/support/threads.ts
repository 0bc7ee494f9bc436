import workerThreads, { type Worker } from 'node:worker_threads';

/** Keeps the threads that this one starts until `restore`, by whatever library, in their order. */
export function recordThreads(): { readonly threads: Worker[]; restore(): void } {
  const threads: Worker[] = [];
  const module = workerThreads as { Worker: typeof Worker };
  const original = module.Worker;
  module.Worker = class extends original {
    constructor(...options: ConstructorParameters<typeof Worker>) {
      super(...options);
      threads.push(this);
    }
  };
  return {
    threads,
    restore() {
      module.Worker = original;
    },
  };
}
