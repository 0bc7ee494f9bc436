import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Carries what comes, in both directions: `near` is the socket of the client, `far` the one to the server. */
export type Carrier = (near: Socket, far: Socket) => void;

/** How long the port may be somebody else's after connections were refused. */
const PORT_RETRY_MS = 10;

/** Stands between two peers on loopback: accepts, forwards as its carrier does, and cuts connections. */
export class Relay {
  /** Where the real server listens. */
  targetPort = 0;
  /** How many sockets were cut: so that specs can prove it. */
  cuts = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Whether connections are reset as soon as they are there. */
  #turningAway = false;
  #closed = false;

  private constructor(server: Server, carry: Carrier) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => {
      if (this.#turningAway) {
        near.on('error', () => {});
        near.resetAndDestroy();
        return;
      }
      const far = connect({ host: '127.0.0.1', port: this.targetPort, noDelay: true });
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      carry(near, far);
    });
  }

  static async listen(carry: Carrier = carryPlainly): Promise<Relay> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server, carry);
  }

  /** Ends all connections, with whatever is on its way. */
  cut(): void {
    for (const socket of this.#sockets) {
      this.cuts++;
      socket.destroy();
    }
  }

  /** Lets no connection come about for a while: nobody listens, or each is reset when it is there. */
  async refuse(how: 'nobody listens' | 'reset', durationMs: number): Promise<void> {
    if (how === 'reset') {
      this.#turningAway = true;
      await sleep(durationMs);
      this.#turningAway = false;
      return;
    }
    this.#server.close();
    await sleep(durationMs);
    while (!this.#closed && !(await this.#listensAgain())) await sleep(PORT_RETRY_MS);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** False while the port is somebody else's. */
  #listensAgain(): Promise<boolean> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        server.off('listening', listening);
        if (error.code === 'EADDRINUSE') resolve(false);
        else reject(error);
      };
      const listening = (): void => {
        server.off('error', failed);
        resolve(true);
      };
      server.once('error', failed).once('listening', listening).listen(this.port, '127.0.0.1');
    });
  }
}

/** Hands on what comes, as it comes. */
export function carryPlainly(near: Socket, far: Socket): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    endTogether(from, to);
    from.on('data', (chunk: Buffer) => to.write(chunk));
  }
}

/** Ends `to` when `from` ends. */
export function endTogether(from: Socket, to: Socket): void {
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (!to.writableEnded) to.end();
  });
}
