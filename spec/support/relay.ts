import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { FRAME_HEADER_BYTES } from '../../lib/session/frame.js';

/**
 * Stands between two peers on loopback: forwards, cuts connections, and cuts each frame in pieces, of which one goes
 * out per turn of the event loop.
 */
export class Relay {
  /** Where the real server listens. */
  targetPort = 0;
  /** How often connections were cut, and how many frames were cut in pieces: so that specs can prove it. */
  cuts = 0;
  framesCut = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #pieces: number;

  private constructor(server: Server, pieces: number) {
    this.#server = server;
    this.#pieces = pieces;
    server.on('connection', (near) => {
      const far = connect({ host: '127.0.0.1', port: this.targetPort, noDelay: true });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  static async listen(piecesPerFrame = 1): Promise<Relay> {
    const server = createServer({ noDelay: true });
    const relay = new Relay(server, piecesPerFrame);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections, with whatever is on its way. */
  cut(): void {
    for (const socket of this.#sockets) {
      this.cuts++;
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!to.writableEnded) to.end();
    });
    if (this.#pieces === 1) from.on('data', (chunk: Buffer) => to.write(chunk));
    else this.#cutFrames(from, to);
  }

  #cutFrames(from: Socket, to: Socket): void {
    const ready: Buffer[] = [];
    let gathered = Buffer.alloc(0);
    let ended = false;
    let running = false;
    const forward = (): void => {
      const piece = ready.shift();
      if (piece !== undefined) to.write(piece);
      running = ready.length > 0;
      if (running) setImmediate(forward);
      else if (ended) to.end();
    };
    from.on('data', (chunk: Buffer) => {
      gathered = Buffer.concat([gathered, chunk]);
      for (;;) {
        if (gathered.length < FRAME_HEADER_BYTES) break;
        const length = FRAME_HEADER_BYTES + gathered.readUInt32LE(4);
        if (gathered.length < length) break;
        for (let i = 0; i < this.#pieces; i++) {
          const start = Math.floor((i * length) / this.#pieces);
          ready.push(gathered.subarray(start, Math.floor(((i + 1) * length) / this.#pieces)));
        }
        this.framesCut++;
        gathered = gathered.subarray(length);
      }
      if (!running && ready.length > 0) {
        running = true;
        setImmediate(forward);
      }
    });
    from.on('end', () => {
      ended = true;
      if (!running) to.end();
    });
  }
}
