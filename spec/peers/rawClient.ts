import type { ConnectOptions } from '../../lib/index.js';
import { controlFrame, FrameKind } from '../../lib/session/frame.js';
import {
  type Attach,
  decodeReject,
  decodeWelcome,
  encodeAttach,
  type Hello,
  type Reject,
  type Welcome,
} from '../../lib/session/loginMessages.js';
import { FRESH_STATE } from '../../lib/session/state.js';
import { type Frame, framesOf, helloFrame } from '../support/frames.js';
import type { Scene } from './support.js';

/** A client that speaks the protocol by hand, over a socket of node: for what no client of this library would say. */
export class RawClient {
  readonly name: string;
  readonly #scene: Scene;
  readonly #connected: Awaited<ReturnType<Scene['socket']>>;

  private constructor(name: string, scene: Scene, connected: Awaited<ReturnType<Scene['socket']>>) {
    this.name = name;
    this.#scene = scene;
    this.#connected = connected;
  }

  static async connect(
    name: string,
    scene: Scene,
    address: ConnectOptions,
    localAddress?: string,
  ): Promise<RawClient> {
    const connected = await scene.socket(address, localAddress);
    connected.socket.setNoDelay(true);
    return new RawClient(name, scene, connected);
  }

  /** Whether the server has hung up. */
  get ended(): boolean {
    return this.#connected.ended();
  }

  get frames(): Frame[] {
    return framesOf(this.#connected.received);
  }

  say(bytes: Uint8Array): void {
    this.#connected.socket.write(bytes);
  }

  /** Says it byte by byte, and never all of it, until the server hangs up: how many bytes there were until then. */
  async drip(bytes: Uint8Array): Promise<number> {
    let said = 0;
    await this.#scene.until(() => {
      if (this.ended) return true;
      if (said < bytes.length - 1) this.say(bytes.subarray(said, ++said));
      return false;
    }, 'the server to drop it');
    return said;
  }

  hangUp(): void {
    this.#connected.socket.destroy();
  }

  /** Hangs up as one that dies with bytes unread: the server meets an error. */
  reset(): void {
    this.#connected.socket.resetAndDestroy();
  }

  /** Says hello: what the server offers, or why it does not. */
  async hello(fields: Partial<Hello> = {}): Promise<Welcome | Reject> {
    const answer = await this.#answerTo(helloFrame(this.name, fields));
    return answer.kind === FrameKind.reject ? decodeReject(answer.payload) : decodeWelcome(answer.payload);
  }

  /** Says how it has the session that was offered: null when that is fine, or why it is not. */
  async attach(sessionId: string, fields: Partial<Attach> = {}): Promise<Reject | null> {
    const attach: Attach = { outcome: 'attached', sessionId, state: FRESH_STATE, ...fields };
    const answer = await this.#answerTo(Buffer.from(controlFrame(FrameKind.attach, encodeAttach(attach))));
    return answer.kind === FrameKind.reject ? decodeReject(answer.payload) : null;
  }

  /** The whole login. Throws when it is refused. */
  async login(): Promise<void> {
    const welcome = await this.hello();
    if ('code' in welcome) throw new Error(welcome.reason);
    const reject = await this.attach(welcome.sessionId);
    if (reject !== null) throw new Error(reject.reason);
  }

  async #answerTo(bytes: Uint8Array): Promise<Frame> {
    const before = this.frames.length;
    this.say(bytes);
    await this.#scene.until(() => this.frames.length > before, 'the answer to a login');
    return this.frames[before] as Frame;
  }
}
