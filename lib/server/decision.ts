import { TcpshmError } from '../errors.js';
import type { Login, LoginDecision } from '../login/loginHost.js';
import { loginBytes } from '../options.js';
import type { Reject } from '../session/loginMessages.js';

/** A client may come in, if there is room in the group. */
export interface Accepted {
  readonly group: number;
  readonly reply: Uint8Array;
}

/**
 * Asks the user about a client. What he throws is handed to `threw`, and the client refused. Throws ERR_OPTION when his
 * answer is not usable.
 */
export function decide(
  login: Login,
  acceptLogin: ((login: Login) => LoginDecision) | undefined,
  threw: (thrown: unknown) => void,
): Accepted | Reject {
  let decision: LoginDecision;
  try {
    decision = acceptLogin === undefined ? { group: 0 } : acceptLogin(login);
  } catch (error) {
    threw(error);
    return { code: 'ERR_LOGIN_REJECTED', reason: 'the server failed to decide', blameless: true };
  }
  if (typeof decision !== 'object' || decision === null) {
    throw new TcpshmError(
      'ERR_OPTION',
      `acceptLogin must return { group } or { reject }, got ${String(decision)}`,
    );
  }
  if ('reject' in decision) return { code: 'ERR_LOGIN_REJECTED', reason: String(decision.reject) };
  return { group: decision.group, reply: loginBytes(decision.reply, 'reply') };
}
