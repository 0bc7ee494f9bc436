/**
 * Two processes with a port each, as two threads have it: postMessage and 'message'. The one that answers is killed in the
 * middle; the next one of its name goes on where it was, as the queues are the session's.
 *
 *     node dist/examples/portProcesses/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RingPort, Server } from 'tcpshm';
import type { Answer } from './answerer.js';

const QUESTIONS = 1000;
/** So many are on their way at most: the one that is killed must not have answered all of them. */
const WINDOW = 20;

const folder = mkdtempSync(join(tmpdir(), 'tcpshm-port-'));
const path = join(folder, 'server.sock');
const processes = new Set<number>();
let asked = false;
let came = 0;
let wrong = 0;

const server = new Server({
  name: `asker-${process.pid}`,
  codec: RingPort.codec,
  sharedDirectory: folder,
  onConnection(connection) {
    // After a crash it logs in again: the port is there already, and what was posted waits in the queue.
    if (!asked) ask(RingPort.over(connection));
  },
});

function ask(port: RingPort): void {
  asked = true;
  let posted = 0;
  const post = (): boolean => port.postMessage({ number: posted++ });
  port.on('message', (value) => {
    const { number, square, by } = value as Answer;
    // Killed after its answer and before it was done with the question: its successor has answered it again.
    if (number < came) return;
    processes.add(by);
    if (number !== came || square !== BigInt(number) ** 2n) wrong++;
    if (++came === QUESTIONS / 2) child.kill('SIGKILL');
    if (came === QUESTIONS) void server.close({ removeSessions: true });
    else if (posted < QUESTIONS) post();
  });
  for (let i = 0; i < WINDOW; i++) post();
}

function start(): ChildProcess {
  const answerer = fork(new URL('./answerer.js', import.meta.url), [path, server.name, folder]);
  answerer.once('exit', (_code, signal) => {
    if (signal === 'SIGKILL') child = start();
  });
  return answerer;
}

await server.listen({ path });
let child = start();
await server.run();
child.kill();
rmSync(folder, { recursive: true, force: true });
console.log(`${came} answers of ${processes.size} processes, ${wrong} of them wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
