import type { PeerCertificate, TLSSocket } from 'node:tls';
import { TcpshmError } from '../errors.js';
import { type SocketAddress, shownAddress } from './address.js';
import type { TlsCertificate, TlsPeer } from './identity.js';

/** What OpenSSL makes of an answer that is no record of TLS, by version of it (the last one: from 3.5 on, in Node.js 22). */
const PLAIN_CODES: readonly string[] = [
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_DATA_LENGTH_TOO_LONG',
];

/** What is known of the other end of a socket whose handshake is complete. */
export function tlsPeerOf(socket: TLSSocket): TlsPeer {
  const error: unknown = socket.authorizationError;
  return {
    protocol: socket.getProtocol() ?? '',
    authorized: socket.authorized,
    authorizationError: error ? String((error as { code?: string }).code ?? error) : null,
    certificate: certificateOf(socket.getPeerCertificate()),
  };
}

/** Why a connection with TLS has not come about, seen from the client. */
export function cannotSecure(address: SocketAddress, socket: TLSSocket, cause: unknown): TcpshmError {
  if (cause instanceof TcpshmError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const where = shownAddress(address);
  if (PLAIN_CODES.includes(code ?? '')) {
    return new TcpshmError(
      'ERR_TLS',
      `TLS was expected of ${where}, which does not speak it: connect without tls, or listen with it`,
      cause,
    );
  }
  if (socket.authorizationError || code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new TcpshmError(
      'ERR_TLS',
      `the certificate of ${where} is not accepted: ${code}: ${message}: tls.ca says whom to trust, and` +
        ' tls.servername for whom it must be',
      cause,
    );
  }
  if (isOfTls(cause)) return new TcpshmError('ERR_TLS', `no TLS with ${where}: ${message}`, cause);
  return new TcpshmError('ERR_CONNECT', `cannot connect to ${where}: ${message}`, cause);
}

/** Whether an error is one of TLS, and not of the network below. */
function isOfTls(error: unknown): boolean {
  const { code, library } = error as { code?: unknown; library?: unknown };
  return library !== undefined || (typeof code === 'string' && /^(ERR_(SSL|TLS)_|EPROTO$)/.test(code));
}

/** Null where it is empty, as node:tls has it for none. */
function certificateOf(shown: PeerCertificate | null): TlsCertificate | null {
  if (!shown?.fingerprint256) return null;
  return {
    subject: { ...shown.subject } as unknown as TlsCertificate['subject'],
    issuer: { ...shown.issuer } as unknown as TlsCertificate['issuer'],
    subjectAltName: shown.subjectaltname ?? '',
    fingerprint256: shown.fingerprint256,
    serialNumber: shown.serialNumber,
    validTo: shown.valid_to,
  };
}
