import { once } from 'node:events';
import {
  type AddressInfo,
  createServer as createNetServer,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect, createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { TcpshmError } from '../errors.js';
import { controlFrame, FrameKind } from '../session/frame.js';
import { encodeReject } from '../session/loginMessages.js';
import { cannotListen, type SocketAddress } from './address.js';
import type { TlsPeer } from './identity.js';
import { BACKLOG, type SocketOptions } from './nativeWire.js';
import { StreamWire } from './netWire.js';
import {
  checkTls,
  type TlsConnectOptions,
  type TlsContextOptions,
  type TlsListenOptions,
} from './tlsOptions.js';
import { cannotSecure, tlsPeerOf } from './tlsPeer.js';
import type { Address, Guard, Listener, Patience, Wire } from './wire.js';

/** The first byte of a client that speaks TLS: a record of its handshake. */
const HANDSHAKE_RECORD = 0x16;

/** How long one that was refused may take to read why. */
const LINGER_MS = 1000;

/** Label of what both ends of one TLS connection can derive, and nobody else (RFC 5705). */
const EXPORTER_LABEL = 'EXPORTER-tcpshm-login';
const BINDING_BYTES = 32;

/** A port of TCP. */
type PortAddress = Extract<SocketAddress, { readonly port: number }>;

/** Limits of handshakes that are under way. */
export interface HandshakeLimits {
  readonly handshakeTimeoutMs: number;
  readonly maxHandshakes: number;
}

/** A socket with TLS, whose handshake is complete. */
class TlsWire extends StreamWire {
  readonly #socket: TLSSocket;
  readonly #peer: TlsPeer;

  constructor(socket: TLSSocket, address: string) {
    super(socket, address);
    this.#socket = socket;
    this.#peer = tlsPeerOf(socket);
  }

  tlsPeer(): TlsPeer {
    return this.#peer;
  }

  binding(): Uint8Array {
    return this.#socket.exportKeyingMaterial(BINDING_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
  }
}

/** A client that has connected, until its handshake is complete. */
interface Handshake {
  readonly key: string;
  readonly socket: Socket;
  readonly address: string;
  readonly deadline: NodeJS.Timeout;
  /** Whether it has said anything. */
  spoken: boolean;
}

/**
 * Listens with node:tls. Who does not speak TLS, or shows no certificate where one is wanted, is told so. Handshakes are
 * bounded in their number and their time, by the clock of the event loop.
 */
export class TlsListener implements Listener {
  readonly address: Address;
  onStir: (() => void) | null = null;
  guard: Guard | null = null;
  readonly #net: NetServer;
  readonly #tls: TlsServer;
  readonly #limits: HandshakeLimits;
  readonly #wantsCertificate: boolean;
  /** By both addresses of the socket, which is all that a complete handshake has in common with its socket. */
  readonly #handshakes = new Map<string, Handshake>();
  readonly #waiting: Wire[] = [];
  readonly #failures: Error[] = [];

  constructor(net: NetServer, address: PortAddress, options: TlsListenOptions, limits: HandshakeLimits) {
    this.#net = net;
    this.#limits = limits;
    this.#wantsCertificate = options.requestCert === true && options.rejectUnauthorized !== false;
    this.address = { host: address.host, port: (net.address() as AddressInfo).port };
    // Who shows no certificate, or a wrong one, is refused here: node:tls would hang up without a word.
    this.#tls = createServer({ ...options, rejectUnauthorized: false });
    net.on('connection', (socket) => this.#greet(socket));
    net.on('error', (error) => this.#failures.push(error));
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => {
      const handshake = this.#handshakes.get(keyOf(socket));
      if (handshake !== undefined) this.#fail(handshake, `its handshake failed: ${error.message}`, error);
    });
  }

  accept(): Wire | null {
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    return this.#waiting.shift() ?? null;
  }

  /**
   * Has the handshakes from here on use these: keys and certificates that were renewed. Connections that are there go
   * on. Throws ERR_OPTION, and all stays as it was.
   */
  setSecureContext(options: TlsContextOptions): void {
    checkTls(options);
    this.#tls.setSecureContext(options);
  }

  keep(alive: boolean): void {
    if (alive) this.#net.ref();
    else this.#net.unref();
  }

  async close(): Promise<void> {
    for (const { socket } of this.#handshakes.values()) socket.destroy();
    for (const wire of this.#waiting.splice(0)) wire.close();
    this.#net.close();
    await nextTurn();
  }

  #greet(socket: Socket): void {
    socket.unref();
    socket.on('error', () => {});
    const key = keyOf(socket);
    const address = `${socket.remoteAddress}:${socket.remotePort}`;
    if (socket.remoteAddress === undefined || this.guard?.admits(address) === false) {
      socket.destroy();
      return;
    }
    if (this.#waiting.length >= BACKLOG) {
      socket.destroy();
      return;
    }
    const [oldest] = this.#handshakes.values();
    if (oldest !== undefined && this.#handshakes.size >= this.#limits.maxHandshakes) {
      this.#fail(oldest, `more than ${this.#limits.maxHandshakes} handshakes are pending: the oldest goes`);
    }
    const { handshakeTimeoutMs } = this.#limits;
    const deadline = setTimeout(() => {
      this.#fail(handshake, `its handshake was not complete after ${handshakeTimeoutMs} ms`);
    }, handshakeTimeoutMs).unref();
    const handshake: Handshake = { key, socket, address, deadline, spoken: false };
    this.#handshakes.set(key, handshake);
    socket.once('close', () => {
      // One that says nothing at all looks whether somebody is here.
      if (handshake.spoken) this.#fail(handshake, 'it hung up during the handshake');
      else this.#over(handshake);
    });
    socket.once('data', (first: Buffer) => {
      handshake.spoken = true;
      socket.pause();
      socket.unshift(first);
      if (first[0] === HANDSHAKE_RECORD) this.#tls.emit('connection', socket);
      else this.#refusePlain(handshake);
    });
  }

  #secured(socket: TLSSocket): void {
    const handshake = this.#handshakes.get(keyOf(socket));
    if (handshake === undefined || !this.#over(handshake)) {
      socket.destroy();
      return;
    }
    if (this.#wantsCertificate && !socket.authorized) {
      const { authorizationError, certificate } = tlsPeerOf(socket);
      const why =
        certificate === null
          ? 'it must show a certificate, and has none'
          : `its certificate is not accepted: ${authorizationError}`;
      this.#tell(handshake, why);
      turnAway(socket, `the client: ${why}`);
      return;
    }
    socket.unref();
    this.#waiting.push(new TlsWire(socket, handshake.address));
    this.onStir?.();
  }

  #refusePlain(handshake: Handshake): void {
    if (!this.#over(handshake)) return;
    this.#tell(handshake, 'it does not speak TLS');
    turnAway(handshake.socket, 'TLS was expected, the client sent plain text');
  }

  #fail(handshake: Handshake, why: string, cause?: unknown): void {
    if (!this.#over(handshake)) return;
    handshake.socket.destroy();
    this.#tell(handshake, why, cause);
  }

  #tell({ address }: Handshake, why: string, cause?: unknown): void {
    this.guard?.failed(
      address,
      new TcpshmError('ERR_TLS', `no TLS with the client at ${address}: ${why}`, cause),
    );
  }

  /** False when it was over before. */
  #over({ key, deadline }: Handshake): boolean {
    clearTimeout(deadline);
    return this.#handshakes.delete(key);
  }
}

/** Listens with TLS. Throws ERR_LISTEN. The options must be good (`checkTlsListen`). */
export async function listenTls(
  address: PortAddress,
  options: TlsListenOptions,
  socketOptions: SocketOptions,
  limits: HandshakeLimits,
): Promise<TlsListener> {
  const net = createNetServer({ noDelay: socketOptions.noDelay });
  try {
    net.listen({ host: address.host, port: address.port });
    await once(net, 'listening');
  } catch (cause) {
    throw cannotListen(address, cause);
  }
  return new TlsListener(net, address, options, limits);
}

/**
 * Connects with TLS. Throws ERR_CONNECT, and ERR_TLS where the server is there and there is no TLS with it. The options
 * must be good (`checkTls`).
 */
export async function connectTls(
  address: PortAddress,
  options: TlsConnectOptions,
  socketOptions: SocketOptions,
  patience: Patience,
): Promise<Wire> {
  const socket = connect({ ...options, host: address.host, port: address.port });
  socket.setNoDelay(socketOptions.noDelay);
  let secure = false;
  let failure: Error | null = null;
  let ended = false;
  socket.once('secureConnect', () => {
    secure = true;
  });
  const failed = (error: Error): void => {
    failure ??= error;
  };
  const closed = (): void => {
    ended = true;
  };
  socket.on('error', failed).once('close', closed);
  try {
    while (!secure) {
      if (failure !== null) throw failure;
      if (ended) throw new TcpshmError('ERR_CONNECT', 'the server hung up during the handshake of TLS');
      await patience.pause();
    }
    socket.unref();
    const wire = new TlsWire(socket, `${socket.remoteAddress}:${socket.remotePort}`);
    socket.off('error', failed).off('close', closed);
    return wire;
  } catch (cause) {
    socket.destroy();
    throw cannotSecure(address, socket, cause);
  }
}

/** Tells a client why it is refused, and gives it a moment to read that. */
function turnAway(socket: Socket, reason: string): void {
  socket.on('error', () => {});
  socket.end(controlFrame(FrameKind.reject, encodeReject({ code: 'ERR_TLS', reason })));
  // Closed with bytes unread it would be reset, and the reason lost.
  socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(linger));
}

function keyOf(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
