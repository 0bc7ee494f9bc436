import { unlinkSync } from 'node:fs';
import { TcpshmError } from '../errors.js';
import { type NativeSocket, native, type SystemError } from '../memory/native.js';
import {
  cannotConnect,
  cannotListen,
  isSocket,
  resolveHost,
  type SocketAddress,
  shownAddress,
} from './address.js';
import type { Address, Listener, Patience, Wire } from './wire.js';

/** How many connections may wait to be accepted: in the kernel, or where that accepts by itself, behind it. */
export const BACKLOG = 511;

/** Options of a TCP socket. */
export interface SocketOptions {
  readonly noDelay: boolean;
}

/** Listens with a native socket, polled. Throws ERR_LISTEN. */
export async function listenNative(address: SocketAddress, options: SocketOptions): Promise<Listener> {
  const socket = await bind(address);
  return {
    address: boundAddress(address, socket),
    fd: socket.fd,
    accept() {
      const accepted = socket.accept();
      if (accepted === null) return null;
      try {
        configure(accepted, address, options);
      } catch (error) {
        accepted.close();
        throw error;
      }
      return accepted;
    },
    async close() {
      socket.close();
    },
  };
}

/** Connects a native socket, to the first address of a host that answers. Throws ERR_CONNECT. */
export async function connectNative(
  address: SocketAddress,
  options: SocketOptions,
  patience: Patience,
): Promise<Wire> {
  try {
    if ('path' in address) return await connected(native().connectUnix(address.path), patience);
    const hosts = await resolveHost(address.host, patience);
    for (;;) {
      const host = hosts.shift() as string;
      try {
        const socket = await connected(native().connectTcp(host, address.port), patience);
        configure(socket, address, options);
        return socket;
      } catch (error) {
        if (hosts.length === 0 || error instanceof TcpshmError) throw error;
      }
    }
  } catch (cause) {
    throw cannotConnect(address, cause);
  }
}

/** Waits until a socket is connected; closes it if that fails. */
async function connected(socket: NativeSocket, patience: Patience): Promise<NativeSocket> {
  try {
    while (!socket.connected()) await patience.pause();
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

async function bind(address: SocketAddress): Promise<NativeSocket> {
  try {
    if (!('path' in address))
      return native().listenTcp((await resolveHost(address.host))[0], address.port, BACKLOG);
    try {
      return native().listenUnix(address.path, BACKLOG);
    } catch (error) {
      if ((error as SystemError).code !== 'EADDRINUSE' || !isAbandoned(address.path)) throw error;
      unlinkSync(address.path);
      return native().listenUnix(address.path, BACKLOG);
    }
  } catch (cause) {
    throw cannotListen(address, cause);
  }
}

/** Whether a path is that of the Unix socket of a process that died: nobody accepts there. */
function isAbandoned(path: string): boolean {
  if (!isSocket(path)) return false;
  try {
    native().connectUnix(path).close();
    return false;
  } catch (error) {
    return (error as SystemError).code === 'ECONNREFUSED';
  }
}

function boundAddress(asked: SocketAddress, socket: NativeSocket): Address {
  if ('path' in asked) return asked;
  const local = socket.localAddress();
  return { host: asked.host, port: Number(local.slice(local.lastIndexOf(':') + 1)) };
}

function configure(socket: NativeSocket, address: SocketAddress, options: SocketOptions): void {
  if (!('path' in address)) socket.setNoDelay(options.noDelay);
}

/** For messages: what the native module threw, as an error of this library. */
export function brokenWire(wire: Wire, cause: unknown): TcpshmError {
  return new TcpshmError(
    'ERR_SYSTEM',
    `the connection to ${shownAddress(wire)} broke: ${(cause as Error).message}`,
    cause,
  );
}
