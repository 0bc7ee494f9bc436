#!/bin/sh
# Makes the certificates that the specs of TLS use, with OpenSSL 3, in the folder of this script. They are committed: run
# it again only to change them. The keys are worth nothing: nobody but the specs trusts these authorities.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ALWAYS="-startdate 20200101000000Z -enddate 99991231235959Z"
PAST="-startdate 20200101000000Z -enddate 20210101000000Z"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

authority() { # name
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=tcpshm spec $1" -days 2900000 -out "$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

issue() { # name, authority, subject, alternative names, dates
  key "$1"
  openssl req -new -key "$1.key" -subj "$3" -out "$work/$1.csr"
  : > "$work/index"
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\nserial=%s\nnew_certs_dir=%s\npolicy=p\ndefault_md=sha256\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' \
    "$work/index" "$work/serial" "$work" "$4" > "$work/config"
  openssl ca -batch -notext -rand_serial -config "$work/config" -extensions e -cert "$2.pem" -keyfile "$2.key" \
    -in "$work/$1.csr" -out "$1.pem" $5 2>/dev/null
}

authority authority
authority stranger
issue server authority "/CN=server" "DNS:localhost,IP:127.0.0.1,IP:::1" "$ALWAYS"
issue renewed authority "/CN=renewed" "DNS:localhost,IP:127.0.0.1,IP:::1" "$ALWAYS"
issue expired authority "/CN=expired" "DNS:localhost,IP:127.0.0.1,IP:::1" "$PAST"
issue elsewhere authority "/CN=elsewhere" "DNS:elsewhere.invalid" "$ALWAYS"
issue client authority "/CN=client" "URI:tcpshm:client,DNS:client.invalid" "$ALWAYS"
issue intruder stranger "/CN=client" "URI:tcpshm:client" "$ALWAYS"
rm authority.key stranger.key
