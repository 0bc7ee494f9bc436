import { type TransferListItem, Worker } from 'node:worker_threads';

/** Starts a module of this folder as a worker, and resolves when it has posted that it is ready. */
export async function startWorker(
  module: string,
  workerData: unknown,
  transferList: readonly TransferListItem[] = [],
): Promise<Worker> {
  const url = new URL(module, import.meta.url);
  const worker = new Worker(url, { workerData, transferList: [...transferList] });
  let failed = (_error: unknown): void => {};
  await new Promise<void>((resolve, reject) => {
    failed = reject;
    worker.once('message', () => resolve());
    worker.once('error', failed);
  });
  worker.off('error', failed);
  return worker;
}
