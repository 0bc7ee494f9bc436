import type { Login, Server, ServerOptions, TcpshmError } from '../../lib/index.js';
import { Scene } from './support.js';

/** A scene whose servers let everybody in, and note who came and what failed. */
export class LoginScene extends Scene {
  /** What `acceptLogin` was asked. */
  readonly logins: Login[] = [];
  /** What `onError` was told. */
  readonly errors: TcpshmError[] = [];

  override server(options: Partial<ServerOptions> = {}): Server {
    return super.server({
      onError: (error) => this.errors.push(error),
      acceptLogin: (login) => {
        this.logins.push(login);
        return { group: 0 };
      },
      ...options,
    });
  }

  /** The first error, which the server may hear of after the client. */
  async firstError(): Promise<TcpshmError> {
    await this.until(() => this.errors.length > 0, 'the server to be told');
    return this.errors[0] as TcpshmError;
  }
}
