import { type Attributes, NOTHING, NO_ATTRIBUTES } from './values.ts';

/**
 * What the body of an export is read into, whichever encoding it had. Values are already JSON texts, written in one way
 * only (values.ts), so that both encodings of a record give the same event.
 *
 * Messages and fields: https://github.com/open-telemetry/opentelemetry-proto, v1.
 */
export interface LogRequest {
  /** Only those that have records: the others would take memory for nothing. */
  readonly resources: readonly ResourceLogs[];
  readonly records: number;
}

/** The records of one resource: a process, a container, a host. */
export interface ResourceLogs {
  attributes: Attributes;
  droppedAttributes: number;
  schemaUrl: string;
  scopes: ScopeLogs[];
}

/** The records of one scope: a logger, a library. */
export interface ScopeLogs {
  name: string;
  version: string;
  attributes: Attributes;
  droppedAttributes: number;
  schemaUrl: string;
  records: LogRecord[];
}

export interface LogRecord {
  /** Nanoseconds since 1970; 0 means unknown. */
  timeNs: bigint;
  /** When a collector saw it. */
  observedNs: bigint;
  /** 1 (TRACE) to 24 (FATAL4); 0 means unknown. */
  severityNumber: number;
  severityText: string;
  eventName: string;
  /** A JSON text. An empty value is the same as none. */
  body: string;
  attributes: Attributes;
  droppedAttributes: number;
  flags: number;
  /** Lowercase hexadecimal digits; empty means none. */
  traceId: string;
  spanId: string;
}

export function emptyResource(): ResourceLogs {
  return { attributes: NO_ATTRIBUTES, droppedAttributes: 0, schemaUrl: '', scopes: [] };
}

export function emptyScope(): ScopeLogs {
  return {
    name: '',
    version: '',
    attributes: NO_ATTRIBUTES,
    droppedAttributes: 0,
    schemaUrl: '',
    records: [],
  };
}

export function emptyRecord(): LogRecord {
  return {
    timeNs: 0n,
    observedNs: 0n,
    severityNumber: 0,
    severityText: '',
    eventName: '',
    body: NOTHING,
    attributes: NO_ATTRIBUTES,
    droppedAttributes: 0,
    flags: 0,
    traceId: '',
    spanId: '',
  };
}

/** The body is no such request. `field` is the place as it is written in JSON, or null if it is about the whole body. */
export class UnreadableRequest extends Error {
  readonly field: string | null;

  constructor(message: string, field: string | null = null) {
    super(message);
    this.field = field;
  }
}

/** The body holds more records than one publish may have events. */
export class TooManyRecords extends Error {}
