/**
 * The echo server as a program: sends back what clients send, until SIGINT or SIGTERM.
 *
 *     node dist/examples/echo/server.js --port 4590
 *
 * Prints `{"port":4590}` when it listens. Kill it and start it again as you like: clients go on where they were.
 */
import { runProgram, UsageError } from '../program.js';
import { type EchoArguments, echoArguments } from './arguments.js';
import { createEchoServer } from './echoServer.js';
import { pollUntil } from './polling.js';

await runProgram(async () => {
  const options = echoArguments('server');
  if (options.transport === 'inproc') {
    throw new UsageError("transport 'inproc' stays within one process: only the client takes it");
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  // Started with `fork`, it ends with its parent, but does not wait for it.
  process.once('disconnect', () => stop.abort());
  process.channel?.unref();
  await serve(options, stop.signal);
});

async function serve(options: EchoArguments, signal: AbortSignal): Promise<void> {
  const server = createEchoServer(options);
  try {
    const { host, port } = await server.listen({
      host: options.host,
      port: options.port,
      // An echo is nobody's secret: whoever reaches the host that was asked for may have one.
      allowUnauthenticated: true,
    });
    console.log(JSON.stringify({ port }));
    if (!options.json) console.error(`${server.name} listens on ${host}:${port}, Ctrl+C ends it`);
    await pollUntil(signal, server, options.idle);
  } finally {
    await server.close({ removeSessions: options.removeSessions });
  }
}
