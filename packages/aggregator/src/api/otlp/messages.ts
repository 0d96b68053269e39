import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { LIMITS, type Problem, encodingFault } from '@chronicleweaver/protocol';
import { JsonSyntaxError } from '../../event/json-scanner.ts';
import { TooManyBytes } from '../../event/batch-writer.ts';
import { OwnedBatch } from '../../event/event-batch.ts';
import { readJsonRequest } from '../../otlp/json-request.ts';
import { type LogRequest, TooManyRecords, UnreadableRequest } from '../../otlp/log-request.ts';
import { readProtobufRequest } from '../../otlp/protobuf-request.ts';
import { type RecordRules, type Refusals, eventsOf } from '../../otlp/record-events.ts';
import { inTurns } from '../../records/turns.ts';
import { freeMemory } from '../../released-memory.ts';
import type { PublishParts } from '../publish-parts.ts';
import { withBody } from '../request/body.ts';
import { ProblemError } from '../request/problems.ts';
import { type Encoding, encodingOf } from './encoding.ts';

/** What a request was read into. The caller owns the memory of the batch. */
export interface ReceivedLogs {
  readonly owned: OwnedBatch;
  readonly refused: Refusals;
}

/** Receives the body of an export. Throws a ProblemError, or as `withBody` does. */
export function receiveLogs(
  request: IncomingMessage,
  { queue, body }: PublishParts,
  rules: RecordRules,
): Promise<ReceivedLogs> {
  return withBody(request, queue.budget, body, (bytes) => {
    const work = logsIn(bytes, encodingOf(request), rules);
    return inTurns(work, bytes.length);
  });
}

function* logsIn(
  bytes: Buffer,
  encoding: Encoding | undefined,
  rules: RecordRules,
): Generator<undefined, ReceivedLogs> {
  try {
    const request = yield* requestIn(bytes, encoding);
    const { batch, refused } = yield* eventsOf(request, rules);
    if (batch.count === 0 && refused.foreign > 0) {
      throw new ProblemError('forbidden_topic', `${foreignText(refused)}; nothing was stored`);
    }
    return { owned: new OwnedBatch(batch), refused };
  } catch (error) {
    throw problemOf(error);
  } finally {
    // The events have memory of their own.
    freeMemory(bytes);
  }
}

function requestIn(body: Buffer, encoding: Encoding | undefined): Generator<undefined, LogRequest> {
  // Strictly an empty body is no JSON, but whoever sends nothing means nothing, and in protobuf it says so.
  if (encoding !== 'application/json' || body.length === 0) return readProtobufRequest(body);
  if (!isUtf8(body)) {
    throw new ProblemError('invalid_encoding', `the body ${encodingFault(body)}: send it as UTF-8`);
  }
  return readJsonRequest(body);
}

/** The problem that an error means; the error itself if it is another one. */
function problemOf(error: unknown): unknown {
  if (error instanceof JsonSyntaxError) return new ProblemError('invalid_json', error.message);
  if (error instanceof UnreadableRequest) {
    const { field, message } = error;
    const detail = field === null ? message : `${field}: ${message}`;
    return new ProblemError('invalid_otlp', `${detail}; nothing was stored`, [
      { index: null, field, message },
    ]);
  }
  if (error instanceof TooManyRecords) {
    return new ProblemError(
      'batch_too_large',
      `a request takes at most ${LIMITS.batchEventsMax} records; send fewer at once`,
    );
  }
  if (error instanceof TooManyBytes) {
    return new ProblemError(
      'batch_too_large',
      'each event holds its resource, and these are too large together; send fewer records at once',
    );
  }
  return error;
}

/** The answer to a request that was stored: an ExportLogsServiceResponse. It is empty if there is nothing to say. */
export function logsAnswer(encoding: Encoding, conflicts: number, refused: Refusals): Buffer {
  const rejected = refused.tooLarge + refused.foreign;
  const message = [
    refused.tooLarge > 0 &&
      `${recordsText(refused.tooLarge)} not stored: as an event each would exceed ${LIMITS.eventBytesMax} bytes`,
    refused.foreign > 0 && foreignText(refused),
    // Not rejected, as the id says that they are the same record.
    conflicts > 0 &&
      `${recordsText(conflicts)} dropped: a record with this id and other content is already stored`,
  ]
    .filter((part) => part !== false)
    .join('; ');
  if (encoding === 'application/json') {
    const partialSuccess = { rejectedLogRecords: String(rejected), errorMessage: message };
    return Buffer.from(JSON.stringify(message === '' ? {} : { partialSuccess }));
  }
  if (message === '') return Buffer.alloc(0);
  const writer = new BinaryWriter().uint32(sized(1)).fork();
  if (rejected > 0) writer.uint32(1 << 3).int64(rejected);
  return Buffer.from(writer.uint32(sized(2)).string(message).join().finish());
}

function foreignText({ foreign, foreignTopic }: Refusals): string {
  return `${recordsText(foreign)} not stored: the key may not use the topic ${JSON.stringify(foreignTopic)}`;
}

function recordsText(count: number): string {
  return count === 1 ? '1 record was' : `${count} records were`;
}

/** The codes of google.rpc.Code that OTLP's own answers have for these statuses; everything else is UNKNOWN. */
const RPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  413: 8,
  415: 3,
  422: 3,
  429: 8,
  500: 13,
  503: 14,
};
const RPC_UNKNOWN = 2;

/** Exporters try again after 429, 502, 503 and 504, and drop their records after any other refusal. */
const RETRIED = new Set([429, 502, 503, 504]);

/** Seconds after which to try again, where nothing says otherwise. */
const RETRY_AFTER_S = 1;

interface StatusAnswer {
  readonly status: number;
  /** Undefined if sending it again is in vain. */
  readonly retryAfterS: number | undefined;
  readonly body: Buffer;
}

/** The problem as a google.rpc.Status, with the field that is at fault in a google.rpc.BadRequest. */
export function statusAnswer(
  { status: told, code, detail, errors = [] }: Problem,
  encoding: Encoding = 'application/json',
): StatusAnswer {
  // A body that came too slowly may come again, which OTLP's exporters do not do after 408.
  const status = told === 408 ? 503 : told;
  const message = `${code}: ${detail}`;
  const rpcCode = RPC_CODES[status] ?? RPC_UNKNOWN;
  const violations = errors.map(({ field, message: description }) => ({ field: field ?? '', description }));
  return {
    status,
    retryAfterS: RETRIED.has(status) ? RETRY_AFTER_S : undefined,
    body:
      encoding === 'application/json'
        ? statusJson(rpcCode, message, violations)
        : statusProtobuf(rpcCode, message, violations),
  };
}

interface Violation {
  readonly field: string;
  readonly description: string;
}

const BAD_REQUEST = 'type.googleapis.com/google.rpc.BadRequest';

function statusJson(code: number, message: string, fieldViolations: readonly Violation[]): Buffer {
  const details = fieldViolations.length === 0 ? [] : [{ '@type': BAD_REQUEST, fieldViolations }];
  return Buffer.from(JSON.stringify({ code, message, ...(details.length > 0 && { details }) }));
}

function statusProtobuf(code: number, message: string, violations: readonly Violation[]): Buffer {
  const writer = new BinaryWriter()
    .uint32(1 << 3)
    .int32(code)
    .uint32(sized(2))
    .string(message);
  if (violations.length > 0) {
    const badRequest = new BinaryWriter();
    for (const { field, description } of violations) {
      badRequest.uint32(sized(1)).fork();
      badRequest.uint32(sized(1)).string(field).uint32(sized(2)).string(description).join();
    }
    writer.uint32(sized(3)).fork();
    writer.uint32(sized(1)).string(BAD_REQUEST).uint32(sized(2)).bytes(badRequest.finish()).join();
  }
  return Buffer.from(writer.finish());
}

/** A length-delimited field on the wire. */
function sized(field: number): number {
  return (field << 3) | 2;
}
