import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import {
  type EventResult,
  type FieldError,
  type PublishAnswer,
  type PublishCounts,
  encodingFault,
} from '@chronicleweaver/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../access/principal.ts';
import { type EventBatch, SPANS_PER_EVENT } from '../event/event-batch.ts';
import { type ReadLines, readEventLines } from '../event/event-reader.ts';
import { type PublishQueue, QueueFull } from '../queue/publish-queue.ts';
import type { AppendResult } from '../store/event-store.ts';
import { forbiddenTopics } from './request/access.ts';
import { askForBody, readPast } from './request/body.ts';
import { LineTooLong, ROOM_LOOK_MS, ROOM_MS_MAX, linesOf } from './request/body-lines.ts';
import { codingOf } from './request/content-coding.ts';
import { charsetFault } from './request/json-type.ts';
import { ProblemError, problemAnswer, publishFailure } from './request/problems.ts';
import { type PublishParts, publishedBy, resultsOf } from './publish-parts.ts';

/** What a body of lines may be called. None of these names is registered. */
export const LINES_TYPE = /^application\/(?:x-)?(?:ndjson|jsonl|jsonlines)\s*(?:;|$)/i;

/** What is wrong with such a request before its body is read. */
export function refusalOfLines(request: IncomingMessage, response: ServerResponse): Error | undefined {
  try {
    const fault = charsetFault(request.headers['content-type'] ?? '');
    if (fault !== undefined) throw fault;
    codingOf(request);
    askForBody(request, response);
    return undefined;
  } catch (error) {
    readPast(request);
    return error as Error;
  }
}

const LINES_ANSWER_TYPE = 'application/x-ndjson; charset=utf-8';

/**
 * Publishes a body of lines. Without results the answer is that of any publish, or the problem that ended it. With them it is a
 * line for each event, as they are committed, and that answer or problem as its last line.
 */
export async function publishLines(
  { raw, principal, log }: FastifyRequest,
  reply: FastifyReply,
  parts: PublishParts,
  withResults: boolean,
): Promise<PublishAnswer | FastifyReply> {
  const publish = new LinePublish(raw, principal, parts);
  const told = publish.run(withResults);
  // Until something is stored, a problem still gets the status that it should have.
  const first = await told.next();
  if (withResults) {
    return reply.type(LINES_ANSWER_TYPE).send(Readable.from(linesToldOf(), { objectMode: false }));
  }
  for await (const _ of told);
  return publish.answer;

  async function* linesToldOf(): AsyncGenerator<string> {
    try {
      if (first.done !== true) yield linesOfJson(first.value);
      for await (const results of told) yield linesOfJson(results);
      yield linesOfJson([publish.answer]);
    } catch (error) {
      yield linesOfJson([problemAnswer(error as Error, raw, log, parts.answers).problem]);
    }
  }
}

function linesOfJson(objects: readonly object[]): string {
  return objects.map((one) => `${JSON.stringify(one)}\n`).join('');
}

/**
 * The publish of a body of lines, an event each, of any length. In: a request whose body has not been read. Out: part by part,
 * what became of its events, after their commit.
 *
 * Each part is a batch of its own. A bad line ends the publish: the events before it are stored and the rest is not. Whatever ends
 * it is thrown as a ProblemError that says in `published` what was stored before.
 */
class LinePublish {
  readonly #counts: PublishCounts = { events_count: 0, accepted: 0, duplicates: 0, conflicts: 0 };
  readonly #request: IncomingMessage;
  readonly #principal: Principal;
  readonly #parts: PublishParts;
  /** Lines before the part. */
  #lines = 0;

  constructor(request: IncomingMessage, principal: Principal, parts: PublishParts) {
    this.#request = request;
    this.#principal = principal;
    this.#parts = parts;
  }

  /** The answer once it has run. */
  get answer(): PublishAnswer {
    const message = `Published ${this.#counts.events_count} events`;
    return { status: 'success', message, ...this.#counts };
  }

  /** @param withResults whether each part is told event by event; else it is empty */
  async *run(withResults: boolean): AsyncGenerator<EventResult[]> {
    const { queue, body } = this.#parts;
    try {
      for await (const { bytes, hold } of linesOf(this.#request, queue.budget, body)) {
        const { read, fault } = readLines(bytes, this.#principal);
        // From here on the queue counts them.
        hold.release();
        if (read.batch.count > 0) {
          const result = await this.#publish(read.batch, queue);
          yield withResults ? resultsOf(read.batch, result) : [];
        }
        if (fault !== null) throw this.#refusalOf(fault);
        this.#lines += read.lines;
      }
    } catch (error) {
      // Every line before it has been handed out, for else its part would have a line feed.
      const refusal = error instanceof LineTooLong ? this.#refusalOf(tooLong(error)) : (error as Error);
      throw publishFailure(refusal, this.#counts);
    }
  }

  async #publish(batch: EventBatch, queue: PublishQueue): Promise<AppendResult> {
    const result = await inTime(() => queue.publish(publishedBy(this.#principal, batch)));
    const counts = this.#counts;
    // The request itself has already counted as one.
    const waitMs = this.#principal.charge(counts.events_count === 0 ? batch.count - 1 : batch.count);
    counts.events_count += batch.count;
    counts.accepted += result.accepted;
    counts.duplicates += result.duplicates;
    counts.conflicts += result.conflicts;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    return result;
  }

  #refusalOf({ code, errors, line }: Fault): ProblemError {
    const number = this.#lines + line;
    const [first] = errors;
    const place = first!.field === null ? '' : `, ${first!.field}`;
    const stored = this.#counts.events_count;
    return new ProblemError(
      code,
      `line ${number}${place}: ${first!.message}; ${remedyFor(stored)}`,
      errors.map((error) => ({ ...error, index: stored, line: number })),
    );
  }
}

/** What became of the events before a bad line, and what to do. */
function remedyFor(stored: number): string {
  if (stored === 0) return 'nothing was stored: correct this line and send all of them again';
  const before = stored === 1 ? 'the event before it is stored' : `the ${stored} events before it are stored`;
  return `${before}: correct this line and send it and the rest`;
}

function tooLong({ message }: LineTooLong): Fault {
  return { code: 'body_too_large', errors: [{ index: null, field: null, message }], line: 1 };
}

/** What is wrong with a line, which counts from 1 within its part. */
interface Fault {
  readonly code: 'invalid_json' | 'invalid_event' | 'invalid_encoding' | 'forbidden_topic' | 'body_too_large';
  readonly errors: readonly FieldError[];
  readonly line: number;
}

/** The events before the first bad line, and what is wrong with that. */
function readLines(bytes: Buffer, principal: Principal): { read: ReadLines; fault: Fault | null } {
  const good = isUtf8(bytes) ? bytes : bytes.subarray(0, startOfBrokenLine(bytes));
  const read = readEventLines(good);
  const { errors } = forbiddenTopics(principal, read.batch);
  const [first] = errors;
  if (first !== undefined) {
    const count = first.index!;
    return {
      read: { ...read, batch: firstOf(read.batch, count) },
      fault: { code: 'forbidden_topic', errors: [first], line: read.lineOf[count]! },
    };
  }
  if (read.fault !== null) {
    const code = read.fault.kind === 'not_json' ? 'invalid_json' : 'invalid_event';
    return { read, fault: { code, errors: read.fault.errors, line: read.lines } };
  }
  if (good.length === bytes.length) return { read, fault: null };
  const message = encodingFault(bytes.subarray(good.length));
  const error = { index: null, field: null, message };
  return { read, fault: { code: 'invalid_encoding', errors: [error], line: read.lines + 1 } };
}

function startOfBrokenLine(bytes: Buffer): number {
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(LINE_FEED, start) + 1;
    if (end === 0 || !isUtf8(bytes.subarray(start, end))) return start;
    start = end;
  }
}

function firstOf({ bytes, spans, timesMs }: EventBatch, count: number): EventBatch {
  return {
    count,
    bytes,
    spans: spans.subarray(0, count * SPANS_PER_EVENT),
    timesMs: timesMs.subarray(0, count),
  };
}

/** Tries again for a while where the queue is full: whoever sends a long body is slowed, not refused. */
async function inTime<T>(publish: () => Promise<T>): Promise<T> {
  const untilMs = performance.now() + ROOM_MS_MAX;
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      if (!(error instanceof QueueFull) || performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, ROOM_LOOK_MS));
  }
}

const LINE_FEED = 0x0a;
