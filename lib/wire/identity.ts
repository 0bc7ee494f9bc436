/** What TLS knows of the other end of a connection. */
export interface TlsPeer {
  /** 'TLSv1.3', say. */
  readonly protocol: string;
  /** Whether it has shown a certificate that an authority trusted here has issued. */
  readonly authorized: boolean;
  /** Why not, as a code of OpenSSL ('CERT_HAS_EXPIRED'); null where it is, and where none was asked for. */
  readonly authorizationError: string | null;
  /** What it has shown: not to be believed unless it is `authorized`. Null where it has shown none. */
  readonly certificate: TlsCertificate | null;
}

/** Whose certificate it is. */
export interface TlsCertificate {
  /** The fields of the distinguished name: `{ CN: 'client' }`. Several of a kind are an array. */
  readonly subject: Readonly<Record<string, string | string[]>>;
  readonly issuer: Readonly<Record<string, string | string[]>>;
  /** As node:tls writes it: 'DNS:a.example, URI:tcpshm:client'; empty where it has none. */
  readonly subjectAltName: string;
  /** SHA-256 of the whole certificate: 'AB:CD:…'. The same for the same certificate only. */
  readonly fingerprint256: string;
  readonly serialNumber: string;
  readonly validTo: string;
}
