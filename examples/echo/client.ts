/**
 * The echo client as a program: sends numbered messages and checks that each comes back, once and in order.
 *
 *     node dist/examples/echo/client.js --port 4590 --count 1000000 --window 64
 *
 * Kill it and start it again as you like: the numbering goes on. SIGINT ends it in order. Exit code 0 when nothing
 * was lost, duplicated or reordered.
 */
import { runProgram } from '../program.js';
import { echoArguments } from './arguments.js';
import { runEchoClient } from './echoClient.js';
import type { EchoReport } from './exchange.js';
import { startServerThread } from './serverThread.js';

await runProgram(async () => {
  const options = echoArguments('client');
  const stop = new AbortController();
  // A second signal ends the process: its messages stay in the session.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  const endServer = options.transport === 'inproc' ? await startServerThread(options) : null;
  try {
    const report = await runEchoClient(options, stop.signal);
    console.log(options.json ? JSON.stringify(report) : inWords(report));
    if (report.lost + report.duplicated + report.reordered > 0) process.exitCode = 1;
  } finally {
    await endServer?.();
  }
});

function inWords(report: EchoReport): string {
  const us = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;
  return [
    `${report.transport}: sent ${report.sent} messages from number ${report.first} on, ${report.received} came back`,
    `, and ${report.resumed} of earlier runs\n`,
    `lost ${report.lost}, duplicated ${report.duplicated}, reordered ${report.reordered}\n`,
    `round trip: mean ${us(report.meanNs)}, p50 ${us(report.p50Ns)}, p99 ${us(report.p99Ns)}`,
    `; ${report.messagesPerSecond} messages per second`,
  ].join('');
}
