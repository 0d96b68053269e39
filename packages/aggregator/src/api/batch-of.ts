import { isUtf8 } from 'node:buffer';
import { type FieldError, encodingFault } from '@chronicleweaver/protocol';
import { EMPTY_BATCH, OwnedBatch } from '../event/event-batch.ts';
import { type ReadBody, readEvents } from '../event/event-reader.ts';
import { ProblemError } from './request/problems.ts';

/** The events of a publish's body, which it consumes. Throws a ProblemError if they are anything else. */
export function batchOf(body: Buffer): OwnedBatch {
  requireUtf8(body);
  return batchIn(readEvents(body));
}

/** Throws a ProblemError if the body is not UTF-8. */
export function requireUtf8(body: Buffer): void {
  if (!isUtf8(body)) {
    throw new ProblemError('invalid_encoding', `the body ${encodingFault(body)}: send it as UTF-8`);
  }
}

export function batchIn(read: ReadBody): OwnedBatch {
  switch (read.kind) {
    case 'batch':
      return new OwnedBatch(read.batch.count === 0 ? EMPTY_BATCH : read.batch);
    case 'not_json':
      throw new ProblemError('invalid_json', read.message);
    case 'too_many':
      throw new ProblemError('batch_too_large', read.message);
    case 'invalid':
      throw invalidEvents(read.errors, read.errorsFound);
  }
}

/** @param errors the first of all that were found; at least one */
export function invalidEvents(errors: FieldError[], errorsFound: number): ProblemError {
  const { index, field, message } = errors[0]!;
  const place = [index === null ? '' : `event ${index}`, field ?? ''].filter(Boolean).join(', ');
  const more = errorsFound > 1 ? ` (the first of ${errorsFound} errors)` : '';
  return new ProblemError('invalid_event', `${place}: ${message}${more}; nothing was stored`, errors);
}
