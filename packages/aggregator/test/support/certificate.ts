import { X509Certificate, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import assert from 'node:assert/strict';

export interface Identity {
  /** PEM */
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;

/**
 * A self-signed certificate for localhost, 127.0.0.1 and ::1, created for each test, so that no private key is in the
 * repository. It is parsed again to check the few lines of DER (RFC 5280, X.690).
 */
export function selfSigned(validTo = new Date(Date.now() + DAY_MS)): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const algorithm = sequence(objectId('06082a8648ce3d040302')); // ecdsa-with-SHA256
  const name = sequence(
    tagged(0x31, sequence(objectId('0603550403'), tagged(0x0c, Buffer.from('localhost')))),
  );
  const addresses = sequence(
    tagged(0x82, Buffer.from('localhost')),
    tagged(0x87, Buffer.from([127, 0, 0, 1])),
    tagged(0x87, Buffer.from([...Array.from({ length: 15 }, () => 0), 1])),
  );
  const isAuthority = sequence(tagged(0x01, Buffer.from([0xff])));
  const extensions = sequence(
    sequence(objectId('0603551d11'), tagged(0x04, addresses)),
    sequence(objectId('0603551d13'), tagged(0x04, isAuthority)),
  );
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))), // version 3
    tagged(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    algorithm,
    name,
    sequence(time(new Date(Math.min(Date.now(), validTo.getTime()) - DAY_MS)), time(validTo)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, extensions),
  );
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]));
  const certificate = new X509Certificate(sequence(body, algorithm, signature));
  assert.ok(
    certificate.verify(createPublicKey(privateKey)) && certificate.checkIP('127.0.0.1') !== undefined,
  );
  return {
    cert: certificate.toString(),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function objectId(der: string): Buffer {
  return Buffer.from(der, 'hex');
}

/** UTCTime: a two-digit year, precise to the second. */
function time(date: Date): Buffer {
  return tagged(0x17, Buffer.from(date.toISOString().replaceAll(/[-:T]|\.\d+/g, '').slice(2))); // prettier-ignore
}
