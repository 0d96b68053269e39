import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal, type SignatureForm } from './source.ts';

/**
 * Throws a Refusal unless one of these signatures is one of the keys' over the content. Every key is tried with every
 * signature, and each pair is compared in constant time, so that an answer tells nothing of how near a guess came.
 */
export function requireSigned(signed: {
  readonly keys: readonly (string | Uint8Array)[];
  readonly algorithm: SignatureForm['algorithm'];
  /** Pieces, one behind the other. */
  readonly content: readonly (string | Uint8Array)[];
  readonly signatures: readonly Uint8Array[];
}): void {
  const { keys, algorithm, content, signatures } = signed;
  let isSigned = false;
  for (const key of keys) {
    const mac = createHmac(algorithm, key);
    for (const piece of content) mac.update(piece);
    const expected = mac.digest();
    for (const signature of signatures) {
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) isSigned = true;
    }
  }
  if (!isSigned) throw new Refusal('wrong_signature', 'no secret of the source makes this signature');
}

/** Throws a Refusal if a signature of that time, seconds since 1970, is too old, or from the future. */
export function requireRecent(timeS: number, maxAgeMs: number, nowMs: number): void {
  const ageMs = nowMs - timeS * 1000;
  if (Math.abs(ageMs) <= maxAgeMs) return;
  throw new Refusal(
    'expired',
    `the signature is of ${Math.round(Math.abs(ageMs) / 1000)} s ${ageMs > 0 ? 'ago' : 'ahead'}`,
  );
}

/** The bytes of a signature; undefined if it is none of that many bytes. */
export function signatureBytes(
  text: string,
  encoding: SignatureForm['encoding'],
  algorithm: SignatureForm['algorithm'],
): Uint8Array | undefined {
  const bytes = Buffer.from(text, encoding);
  // Node passes over whatever is no hexadecimal digit or base64.
  const isWhole = bytes.toString(encoding) === (encoding === 'hex' ? text.toLowerCase() : text);
  return isWhole && bytes.length === BYTES[algorithm] ? bytes : undefined;
}

const BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const;
