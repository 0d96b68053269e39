import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { byteOrderMarkLength, isUtf16 } from '@chronicleweaver/protocol';
import { ConfigError, type TlsFiles } from '../../config.ts';

/** A certificate with the chain above it, and its private key, both PEM. */
export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Clients accept the certificate until then. */
  readonly validTo: Date;
}

/** Rejects with a ConfigError that names the variable, the file, and what is wrong with it. */
export async function readTlsIdentity({ certFile, keyFile }: TlsFiles): Promise<TlsIdentity> {
  const cert = await read('TLS_CERT_FILE', certFile);
  const key = await read('TLS_KEY_FILE', keyFile);
  const certificate = made(
    () => new X509Certificate(cert),
    `TLS_CERT_FILE ${certFile} is not a certificate in PEM, but has ${contentsOf(cert)}`,
  );
  const privateKey = made(
    () => createPrivateKey(key),
    `TLS_KEY_FILE ${keyFile} is not a private key in PEM without a passphrase, but has ${contentsOf(key)}`,
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ConfigError(
      `TLS_KEY_FILE ${keyFile} is not the key of the certificate in TLS_CERT_FILE ${certFile}`,
    );
  }
  made(
    () => createSecureContext({ cert, key }),
    `TLS_CERT_FILE ${certFile}, which has ${contentsOf(cert)}, cannot be served`,
  );
  return { cert, key, validTo: certificate.validToDate };
}

/**
 * The bytes of a PEM file without its byte order mark, which not every OpenSSL ignores. Text around the PEM may be
 * in any encoding.
 */
async function read(variable: string, path: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new ConfigError(`${variable} ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  if (isUtf16(bytes)) throw new ConfigError(`${variable} ${path} is UTF-16: save it as UTF-8`);
  return bytes.subarray(byteOrderMarkLength(bytes));
}

/** What a PEM file contains instead of the expected, to recognize swapped files. */
function contentsOf(pem: Buffer): string {
  const labels = pem.toString('latin1').matchAll(/^-----BEGIN ([\w ]+)-----/gm);
  const found = [...new Set([...labels].map(([, label]) => label!))];
  return found.length === 0 ? 'no PEM in it' : found.join(', ');
}

function made<T>(make: () => T, fault: string): T {
  try {
    return make();
  } catch (cause) {
    throw new ConfigError(`${fault}: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
