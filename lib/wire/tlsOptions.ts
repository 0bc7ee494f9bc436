import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContextOptions,
  type TlsOptions,
} from 'node:tls';
import { TcpshmError } from '../errors.js';

/** Keys, certificates, versions and ciphers of a side: those of `tls.createSecureContext`. */
export type TlsContextOptions = SecureContextOptions;

/**
 * TLS of an address where a server listens: `key` and `cert`, or `pfx`, or an `SNICallback`, and what else node:tls has.
 * With `requestCert: true` a client must show a certificate that one of `ca` has issued, unless `rejectUnauthorized` is
 * false: then `acceptLogin` decides, by `login.tls`.
 */
export type TlsListenOptions = TlsContextOptions &
  Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized' | 'SNICallback' | 'ALPNProtocols' | 'ticketKeys'>;

/**
 * TLS of a client: `ca` where the server's certificate is not of a public authority, `key` and `cert` where the server
 * wants one of the client, `servername` where the certificate has another name than `host`, and what else node:tls has.
 */
export type TlsConnectOptions = TlsContextOptions &
  Pick<
    ConnectionOptions,
    'rejectUnauthorized' | 'servername' | 'checkServerIdentity' | 'ALPNProtocols' | 'minDHSize'
  >;

/** What would have TLS go over something else than the socket of this library. */
const NOT_OURS = ['host', 'port', 'path', 'socket', 'fd', 'lookup', 'server', 'isServer'] as const;

/** Throws ERR_OPTION unless a server can show a certificate with these. */
export function checkTlsListen(options: TlsListenOptions): void {
  checkTls(options);
  const { key, cert, pfx, SNICallback } = options;
  if (SNICallback !== undefined || pfx !== undefined || (key !== undefined && cert !== undefined)) return;
  throw new TcpshmError(
    'ERR_OPTION',
    `tls needs key and cert, or pfx, or SNICallback to listen, got ${keysOf(options)}`,
  );
}

/** Throws ERR_OPTION unless these are options of TLS, with keys and certificates that can be read. */
export function checkTls(options: TlsListenOptions | TlsConnectOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TcpshmError('ERR_OPTION', `tls must be options of node:tls, got ${String(options)}`);
  }
  for (const name of NOT_OURS) {
    if (!(name in options)) continue;
    throw new TcpshmError(
      'ERR_OPTION',
      `tls must be of TLS alone, got tls.${name}: the address is given beside it`,
    );
  }
  for (const name of ['requestCert', 'rejectUnauthorized'] as const) {
    const value = (options as TlsListenOptions)[name];
    if (value === undefined || typeof value === 'boolean') continue;
    throw new TcpshmError('ERR_OPTION', `tls.${name} must be true or false, got ${String(value)}`);
  }
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new TcpshmError('ERR_OPTION', `tls cannot be used: ${(cause as Error).message}`, cause);
  }
}

function keysOf(options: object): string {
  return Object.keys(options).join(', ') || 'nothing';
}
