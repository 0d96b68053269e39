import type { FastifyRequest } from 'fastify';
import { cloudEventsOfLines } from '../../cloudevents/framed.ts';
import { asksForCloudEvents } from '../cloudevents/ask.ts';

/** How the events of an answer are written. */
export interface Form {
  readonly type: string;
  /** How the store is asked for them. */
  readonly framing: 'array' | 'lines';
  /** Whether a comma follows each event, so that the last one has one too many. */
  readonly hasCommas: boolean;
  /** How many times more room an answer takes than one in the form that the store writes. */
  readonly rooms: number;
  /** What the answer makes of the bytes that the store wrote: whole events. */
  readonly written: (bytes: Uint8Array) => Uint8Array;
  readonly head: (count: number, expired: number) => Uint8Array | null;
  /** @param next of a page */
  readonly tail: (next?: number | null) => Uint8Array | null;
}

const none = (): null => null;
const asItIs = (bytes: Uint8Array): Uint8Array => bytes;

/** How the JSON of an answer begins. Where nothing expired it is as it was before anything could. */
function headOf(count: number, expired: number): Uint8Array {
  return Buffer.from(`{"count":${count},${expired > 0 ? `"expired":${expired},` : ''}"events":[`);
}

/** The form of those who ask for nothing else. */
export const JSON_FORM: Form = {
  type: 'application/json; charset=utf-8',
  framing: 'array',
  hasCommas: true,
  rooms: 1,
  written: asItIs,
  head: headOf,
  tail: (next) => Buffer.from(next === undefined ? ']}' : `],"next":${next}}`),
};

export const LINES_TYPE = 'application/x-ndjson; charset=utf-8';

const LINES_FORM: Form = {
  type: LINES_TYPE,
  framing: 'lines',
  hasCommas: false,
  rooms: 1,
  written: asItIs,
  head: none,
  tail: none,
};

const CLOUDEVENTS_FORM: Form = {
  type: 'application/cloudevents-batch+json; charset=utf-8',
  framing: 'lines',
  hasCommas: true,
  rooms: 2,
  written: (bytes) => cloudEventsOfLines(bytes, ','),
  head: () => Buffer.from('['),
  tail: () => Buffer.from(']'),
};

const CLOUDEVENT_LINES_FORM: Form = {
  ...LINES_FORM,
  rooms: 2,
  written: (bytes) => cloudEventsOfLines(bytes, '\n'),
};

/** The form that the reader of a page or a whole answer asks for. */
export function formFor(request: FastifyRequest): Form {
  const isLines = asksForLines(request);
  if (asksForCloudEvents(request)) return isLines ? CLOUDEVENT_LINES_FORM : CLOUDEVENTS_FORM;
  return isLines ? LINES_FORM : JSON_FORM;
}

/** Whether a reader asks for one event per line, by `Accept`. */
export function asksForLines(request: FastifyRequest): boolean {
  return request.accepts().type(['json', 'application/x-ndjson']) === 'application/x-ndjson';
}
