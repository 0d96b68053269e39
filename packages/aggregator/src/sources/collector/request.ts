import { isUtf8 } from 'node:buffer';
import { LIMITS, encodingFault } from '@chronicleweaver/protocol';
import type { EventBatch } from '../../event/event-batch.ts';
import { inTurns } from '../../records/turns.ts';
import { type Delivery, Refusal } from '../source.ts';
import type { RecordEvents } from './record-events.ts';
import type { ReadRecords, Records } from './record-reader.ts';

/** How the body of a request of many records is read, and what is made of them. */
export interface RequestReading {
  /** It consumes the body, which is valid UTF-8. */
  readonly read: (body: Buffer) => ReadRecords;
  readonly eventsOf: (records: Records) => Generator<undefined, RecordEvents>;
}

/** The events of a request of many records, all or none. The caller owns the memory of the batch. Rejects with a Refusal. */
export async function eventsIn({ body }: Delivery, reading: RequestReading): Promise<EventBatch> {
  if (!isUtf8(body)) throw new Refusal('invalid', `the body ${encodingFault(body)}: send it as UTF-8`);
  const records = recordsIn(reading.read(body));
  const made = await inTurns(reading.eventsOf(records), body.length);
  if (made.kind === 'invalid') throw refusalOf(made);
  return made.batch;
}

function recordsIn(read: ReadRecords): Records {
  switch (read.kind) {
    case 'read':
      return read.records;
    case 'not_json':
      throw new Refusal('invalid', `the body is no JSON, or is cut: ${read.message}`);
    case 'too_many':
      throw tooMany();
    case 'invalid':
      throw refusalOf(read);
  }
}

export function tooMany(): Refusal {
  return new Refusal(
    'too_many',
    `a request takes at most ${LIMITS.batchEventsMax} records; send fewer at once`,
  );
}

function refusalOf({ errors, errorsFound }: Extract<RecordEvents, { kind: 'invalid' }>): Refusal {
  const { index, field, message } = errors[0]!;
  const place = [index === null ? '' : `record ${index}`, field ?? ''].filter(Boolean).join(', ');
  const more = errorsFound > 1 ? ` (the first of ${errorsFound} errors)` : '';
  return new Refusal('invalid', `${place}: ${message}${more}`, errors);
}
