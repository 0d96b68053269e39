import { hash } from 'node:crypto';
import { type EventBatch, PAYLOAD, SOURCE, SPANS_PER_EVENT, TIMESTAMP } from '../event-batch.ts';

/** Bytes of a content digest: SHA-256 cut to 128 bits, so that two contents do not meet by chance or by design. */
const DIGEST_BYTES = 16;

let scratch = Buffer.allocUnsafe(4096);

/**
 * What tells a retry from a conflict: a digest of source, timestamp and payload. A NUL stands between them, which
 * neither name can hold (EVT-3); the payload is without whitespace between tokens, so that does not count.
 */
export function contentDigest(batch: EventBatch, index: number): Uint8Array {
  const { bytes, spans } = batch;
  const at = index * SPANS_PER_EVENT;
  const payloadBytes = spans[at + PAYLOAD + 1]! - spans[at + PAYLOAD]!;
  const nameBytes =
    spans[at + SOURCE + 1]! - spans[at + SOURCE]! + spans[at + TIMESTAMP + 1]! - spans[at + TIMESTAMP]!;
  if (scratch.length < payloadBytes + nameBytes + 2)
    scratch = Buffer.allocUnsafe(2 * (payloadBytes + nameBytes + 2));

  let end = 0;
  for (const part of [SOURCE, TIMESTAMP, PAYLOAD]) {
    if (part !== SOURCE) scratch[end++] = 0;
    const piece = bytes.subarray(spans[at + part], spans[at + part + 1]);
    scratch.set(piece, end);
    end += piece.length;
  }
  return hash('sha256', scratch.subarray(0, end), 'buffer').subarray(0, DIGEST_BYTES);
}
