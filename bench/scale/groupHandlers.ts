/** What runs in the threads of groups: they do the work that messages are, and tell what has come of it. */
import type { Connection, Message } from '../../lib/index.js';
import { LAST } from '../flow/settings.js';
import { threadCpuNs } from '../idle/usage.js';
import { Work } from './work.js';

const works = new Map<Connection, Work>();

export function onConnection(connection: Connection): void {
  works.set(connection, new Work());
}

export function onDisconnect(connection: Connection): void {
  works.delete(connection);
}

export function onMessage(connection: Connection, message: Message): void {
  const work = works.get(connection) as Work;
  const { type } = message;
  work.read(message);
  connection.pop();
  if (type === LAST) work.answer(connection, threadCpuNs());
}
