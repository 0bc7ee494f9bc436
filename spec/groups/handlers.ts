/**
 * The handlers of the specs, in the threads of groups. What a client sends is a command, unless its login data asks for
 * traffic: then numbered messages go both ways until all of them have come, and commands after that.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Connection, DisconnectReason, GroupContext, Message, TcpshmError } from '../../lib/index.js';
import { native } from '../../lib/memory/native.js';
import { Traffic } from '../support/traffic.js';
import { type Answer, isCommand, obey, wantedTraffic } from './commands.js';

let group = -1;
const traffics = new Map<Connection, Traffic>();
/** What has happened to connections in this thread. */
const events: string[] = [];

export function onStart(context: GroupContext): void {
  ({ group } = context);
  void exchange(context.signal);
}

export function onConnection(connection: Connection): void {
  events.push(`${connection.remoteName} came`);
  const wanted = wantedTraffic(connection.loginData);
  if (wanted === null) return;
  traffics.set(connection, new Traffic(connection, 1, wanted.send, wanted.receive, true));
}

export function onMessage(connection: Connection, message: Message): void {
  const traffic = traffics.get(connection);
  if (traffic !== undefined && connection.popped < traffic.receives) {
    traffic.step();
    return;
  }
  const text = message.text();
  if (text === 'throw and keep') throw new Error('on purpose');
  const { pushed, popped } = connection;
  if (isCommand(text)) {
    connection.pop();
    obey(connection, text);
    return;
  }
  const answer: Answer = {
    group,
    text,
    pushed,
    popped,
    version: connection.protocolVersion,
    cpus: native().getAffinity(),
    events: events.slice(-6),
  };
  const bytes = Buffer.from(JSON.stringify(answer));
  const room = connection.alloc(bytes.length);
  // Then the question comes again.
  if (room === null) return;
  connection.pop();
  room.set(bytes);
  connection.push();
}

export function onDisconnect(
  connection: Connection,
  reason: DisconnectReason,
  error: TcpshmError | null,
): void {
  traffics.delete(connection);
  events.push(`${connection.remoteName} left: ${reason}${error === null ? '' : ` ${error.code}`}`);
}

/** What the traffic sends does not wait for what comes. */
async function exchange(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let moved = false;
    for (const traffic of [...traffics.values()]) if (!traffic.done && traffic.step()) moved = true;
    await (moved ? nextTurn() : sleep(1));
  }
}
