import assert from 'node:assert/strict';
import type { FieldError, Problem } from '@chronicleweaver/protocol';
import { booksOf } from './books.ts';
import { eventWith } from './events.ts';
import { TestServer, problemIn } from './server.ts';

/** The JSON texts of a valid event's fields. They are texts because JSON.stringify cannot write the invalid ones. */
export const FIELDS = {
  event_id: '"e-1"',
  topic: '"orders"',
  source: '"web"',
  payload: '{"n":1}',
  timestamp: '"2025-10-28T10:00:00Z"',
};

export type Change = Partial<Record<keyof typeof FIELDS, string | null>>;

/** The text of an event with these texts as its fields (null leaves a field out), followed by extra members. */
export function eventText(change: Change = {}, ...more: string[]): string {
  const fields = Object.entries({ ...FIELDS, ...change }).filter(([, text]) => text !== null);
  return `{${[...fields.map(([name, text]) => `"${name}":${text}`), ...more].join(',')}}`;
}

/** An event of exactly this many bytes, with characters of two bytes as far as possible. */
export function eventOfBytes(bytes: number): string {
  const room = bytes - eventText({ payload: '{"x":""}' }).length;
  return eventText({ payload: `{"x":"${'é'.repeat(room / 2)}${room % 2 === 1 ? 'e' : ''}"}` });
}

export const VALID = eventText();

/** What is wrong with one event: field and message. */
export type Fault = [field: string | null, message: string];

/** A service that refuses: its store gets one event first, and nothing may change from then on. */
export class Refusals {
  readonly #service: () => TestServer;
  #before: Record<string, unknown> | undefined;

  /** For a service shared by the tests of a file. */
  constructor(service: () => TestServer) {
    this.#service = service;
  }

  async #keep(server: TestServer): Promise<Record<string, unknown>> {
    await server.publish(eventWith({ event_id: 'kept' }));
    return booksOf(server);
  }

  /** Posts the body, which must be refused with this problem and change nothing [P-6]. */
  async body(body: string | Uint8Array, status: number, code: string): Promise<Problem> {
    const server = this.#service();
    this.#before ??= await this.#keep(server);
    const problem = await problemIn(await server.post(body), status, code);
    assert.deepEqual(await booksOf(server), this.#before);
    return problem;
  }

  /** Asserts that the body is JSON, with exactly these faults. */
  async errors(body: string, errors: [index: number | null, ...Fault][]): Promise<void> {
    const problem = await this.body(body, 422, 'invalid_event');
    const expected = errors.map(([index, field, message]): FieldError => ({ index, field, message }));
    assert.deepEqual(problem.errors, expected, excerpt(body));
    const [index, field, message] = errors[0]!;
    const place = [index === null ? [] : `event ${index}`, field || []].flat().join(', ');
    const more = errors.length > 1 ? ` (the first of ${errors.length} errors)` : '';
    assert.equal(problem.detail, `${place}: ${message}${more}; nothing was stored`);
  }

  /** Asserts that the event has these faults, alone or after good events, which are not stored either [P-3]. */
  async event(event: string, ...faults: Fault[]): Promise<void> {
    await this.errors(`{"events":[${VALID},${eventText({ event_id: '"e-2"' })},${event}]}`, at(2));
    // The first member of a body decides whether it is a bare event.
    if (event.startsWith('{') && !event.startsWith('{"events"')) await this.errors(event, at(0));

    function at(index: number): [number, ...Fault][] {
      return faults.map((fault) => [index, ...fault]);
    }
  }
}

export function excerpt(body: string): string {
  return body.length <= 200 ? body : `${body.slice(0, 100)}…${body.slice(-100)}`;
}
