/**
 * A server that sends every message back, each of them exactly once, whenever it is killed and started again.
 *
 *   client ── messages ──►  [ queue ]  front … pop
 *                                          │ copy
 *   client ◄── replies ───  [ queue ]  alloc … push
 */
import { type Connection, type Message, Server } from 'tcpshm';
import type { EchoArguments } from './arguments.js';
import { fill, payloadBytes } from './content.js';

export function createEchoServer(options: EchoArguments): Server {
  const { transport, directory, sharedDirectory } = options;
  return new Server({
    name: options.serverName,
    directory,
    ...(sharedDirectory !== undefined && { sharedDirectory }),
    acceptLogin: (login) =>
      transport === 'auto' || transport === login.transport
        ? { group: 0 }
        : { reject: `this server serves clients over ${transport} only` },
    onConnection(connection) {
      console.error(`${connection.remoteName} is connected over ${connection.transport}`);
      sendOwed(connection);
    },
    onMessage: sendBack,
    onDisconnect(connection, reason, error) {
      console.error(`${connection.remoteName} is gone: ${error?.message ?? reason}`);
    },
    onError: (error) => console.error(error.message),
  });
}

function sendBack(connection: Connection, message: Message): void {
  const reply = connection.alloc(message.size);
  // The queue is full: the message stays where it is, and comes again with the next poll.
  if (reply === null) return;
  reply.copyFrom(message);
  // In this order, a crash in between cannot send a reply twice. It leaves one that is owed.
  connection.pop();
  connection.push();
}

/**
 * Sends the replies that a predecessor owed when it was killed between `pop` and `push`. There is one push for every
 * pop, so both counts tell which; and what a reply contains follows from its number.
 */
function sendOwed(connection: Connection): void {
  const size = sizeOf(connection.loginData);
  while (connection.pushed < connection.popped) {
    const number = connection.pushed;
    const reply = connection.alloc(payloadBytes(number, size));
    // The predecessor had room for this reply, and nothing was pushed since.
    if (reply === null) throw new Error(`no room for reply ${number}, which is owed`);
    fill(reply, number);
    connection.push();
  }
}

/** The client says along with its login which size its messages have: as text, '0' for several. */
function sizeOf(loginData: Uint8Array): number {
  return Number(Buffer.from(loginData).toString());
}
