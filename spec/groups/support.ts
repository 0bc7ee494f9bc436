/** What the specs of groups in threads share: servers whose connections are in threads, and clients that talk to them. */
import { expect } from 'chai';
import type {
  Client,
  ClientOptions,
  Connection,
  ConnectOptions,
  GroupOptions,
  Server,
  ServerOptions,
  TcpshmError,
} from '../../lib/index.js';
import { newName, Scene, type Way } from '../peers/support.js';
import { Traffic } from '../support/traffic.js';
import { until } from '../support/until.js';
import { type Answer, trafficLogin } from './commands.js';

/** Every way in which a connection gets to a thread. */
export const THREAD_WAYS = ['tcp native', 'shm', 'inproc'] as const;

const HANDLERS = new URL('./handlers.js', import.meta.url);

/** A client that talks to the handlers. */
export interface Caller {
  readonly client: Client;
  readonly connection: Connection;
  /** Of the text that it was sent. */
  ask(text: string): Promise<Answer>;
  readonly ended: string[];
  /** What has become of its attempts to connect again. */
  readonly again: string[];
}

/** One that exchanges messages with them. */
export interface Trafficker extends Caller {
  readonly traffic: Traffic;
}

export class GroupScene extends Scene {
  /** What `onError` of the servers was told. */
  readonly errors: TcpshmError[] = [];

  /** A server with two groups in threads; `group` is that of a client by its name. */
  groupServer(
    groups: GroupOptions = {},
    options: Partial<ServerOptions> = {},
    group: (client: string) => number = () => 0,
  ): Server {
    return this.server({
      groups: { count: 2, worker: HANDLERS, ...groups },
      acceptLogin: ({ name }) => ({ group: group(name) }),
      onError: (error) => this.errors.push(error),
      ...options,
    });
  }

  /** A client that is connected, and pops what comes when it is asked for. */
  async caller(
    way: Way,
    address: ConnectOptions,
    options: Partial<ClientOptions> = {},
    login: Uint8Array = new Uint8Array(0),
  ): Promise<Caller> {
    const ended: string[] = [];
    const again: string[] = [];
    const client = this.client({
      name: newName('client'),
      ...this.wire(way),
      onDisconnect: (_, reason) => ended.push(reason),
      onReconnect: (attempt) =>
        again.push('error' in attempt ? `${attempt.outcome}: ${attempt.error.code}` : attempt.outcome),
      ...options,
    });
    const connection = await this.connect(client, { ...address, login } as ConnectOptions);
    const ask = async (text: string): Promise<Answer> => {
      await this.until(() => connection.send(text), 'room for a question');
      await this.until(() => connection.front() !== null, `an answer to '${text}'`);
      const answer = JSON.parse(connection.front()?.text() ?? '') as Answer;
      connection.pop();
      expect(answer.text).to.equal(text);
      return answer;
    };
    return { client, connection, ask, ended, again };
  }

  /** Lets the thread of a caller stand still for a while: it does so when this resolves. */
  block(caller: Caller): Promise<void> {
    return this.#told(caller, 'block', 'blocking');
  }

  /** Lets it stand still for ever. */
  hang(caller: Caller): Promise<void> {
    return this.#told(caller, 'hang', 'hanging');
  }

  /** Lets it allocate a message for the caller, which is pushed when it is told to 'push'. */
  claim(caller: Caller): Promise<void> {
    return this.#told(caller, 'claim', 'claiming');
  }

  /** One that exchanges so many messages in each direction with the handlers. */
  async trafficker(
    way: Way,
    address: ConnectOptions,
    messages: number,
    options: Partial<ClientOptions> = {},
  ): Promise<Trafficker> {
    const login = trafficLogin({ send: messages, receive: messages });
    const caller = await this.caller(way, address, options, login);
    return { ...caller, traffic: new Traffic(caller.connection, 0, messages, messages) };
  }

  /** Lets all of them exchange what they have, until the condition holds. */
  async exchange(traffickers: readonly Trafficker[], done: () => boolean, what: string): Promise<void> {
    await until(done, what, async () => {
      let moved = false;
      for (const { traffic } of traffickers) if (!traffic.done && traffic.step()) moved = true;
      await this.turn();
      return moved;
    });
  }

  /** The group that a client is in, as its server knows it; -1 for none. */
  groupOf(server: Server, { client }: Caller): number {
    return server.members.find(({ remoteName }) => remoteName === client.name)?.group ?? -1;
  }

  /** Sends a command, and waits until the thread has told that it is at it. */
  async #told({ connection }: Caller, command: string, answer: string): Promise<void> {
    connection.send(command);
    await this.until(() => connection.front() !== null, `the thread to be ${answer}`);
    expect(connection.front()?.text()).to.equal(answer);
    connection.pop();
  }
}
