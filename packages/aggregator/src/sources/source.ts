import type { IncomingHttpHeaders } from 'node:http';
import type { FieldError, PublishCounts } from '@chronicleweaver/protocol';
import type { EventBatch } from '../event/event-batch.ts';

/** Who speaks to a source. Each kind has a file in kinds/, and a line in kinds.ts. */
export const KINDS = [
  'github',
  'stripe',
  'shopify',
  'slack',
  'standard-webhooks',
  'generic',
  'collector',
  'loki',
  'segment',
] as const;
export type KindName = (typeof KINDS)[number];

/** Names of sources: a URL needs no escapes for them. */
export const SOURCE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Somebody who sends to an address of his own, `/in/{name}`, as it was defined. Its kind says which of the later members it takes. */
export interface Source {
  readonly name: string;
  readonly kind: KindName;
  /** Of its events: a topic, or a template (event/topic-template.ts) with the names in braces that the kind knows. */
  readonly topic: string;
  /** The `source` of its events. */
  readonly source: string;
  /** Whoever has one of them is the source; without any, whoever has a key that may publish is. */
  readonly secrets: readonly string[];
  /** How old a signature may be that tells its time, milliseconds; null if they tell none. */
  readonly maxAgeMs: number | null;
  /**
   * Where the id of an event is: the name of a header, a JSON pointer, or `digest` for one of the body. Of kind collector: a JSON pointer, a
   * template with fields, or `digest` for one of the record.
   */
  readonly id?: string;
  /** Where the time of an event is: the name of a header or a JSON pointer. Of kind collector: a field. */
  readonly timestamp?: string;
  /** The fields that a digest of a record is of; without them it is of all of it. */
  readonly digest?: string[];
  /** The member of a body's objects that holds its records. */
  readonly records?: string;
  /** How a body is signed. */
  readonly signature?: SignatureForm;
}

/** An HMAC of the body, in a header. */
export interface SignatureForm {
  /** The header's name, in lower case. */
  readonly header: string;
  readonly algorithm: 'sha1' | 'sha256' | 'sha512';
  readonly encoding: 'hex' | 'base64';
  /** What stands before it in the header, such as `sha256=`. */
  readonly prefix: string;
}

/** Members of a definition that not every kind takes. */
export type OwnMember = 'id' | 'timestamp' | 'digest' | 'records' | 'signature';

/**
 * What a kind of source makes of requests. To add a kind, write one of these in kinds/, with a line in KINDS above and one in
 * kinds.ts; a member of its own for the definition goes into `Source`, OwnMember, and api/in/ (schemas.ts, requests.ts, answers.ts).
 *
 * The route (api/in/deliveries.ts) does what all kinds have in common. It finds the source, asks for a key if the source has no
 * secrets, receives the body within the limits of its length, the queue's room and time, and calls `receive`. Events then go
 * through the queue like any publish: `publish` checks their topics against the key, commits, and only then the answer is given. So
 * a kind is about bytes and headers alone, and knows neither HTTP's objects nor the queue.
 */
export interface SourceKind {
  /** Whether its definitions have secrets; it checks their signatures itself, first of all. */
  readonly secrets: 'required' | 'optional' | 'none';
  /** How old a signature may be if the definition does not say it, milliseconds; null if its signatures tell no time. */
  readonly maxAgeMs: number | null;
  /** Of the members that not every kind takes, those that it takes. */
  readonly takes: ReadonlySet<OwnMember>;
  /**
   * The bodies that it takes. `event`: one event in each, so none is longer than an event, and there is no content coding: what was
   * signed are the bytes that came. `events`: any number of them in
   * JSON, as long as a publish, unpacked before `receive` gets it.
   */
  readonly bodies: 'event' | 'events';
  /** Whether HEAD, with a key where one is needed, is answered 200: some collectors ask so whether anybody is there. */
  readonly answersHead: boolean;
  /** What is wrong with a definition that its schema and the members above allow, and what each name in braces in a topic may be. */
  faultsIn(source: Source): readonly FieldError[];
  /**
   * What a request brings. Throws, or rejects with, a Refusal; then nothing of it is stored. The body is lent for the length of the
   * call and may be written on; the events have memory of their own, which the caller then owns (BatchWriter makes such a batch).
   *
   * A body of many events takes long: return a promise, and give others a turn of the event loop in between.
   */
  receive(delivery: Delivery, source: Source): Received | Promise<Received>;
}

/** A request to a source. */
export interface Delivery {
  /** By names in lower case. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** When it came, milliseconds since 1970. */
  readonly nowMs: number;
  /** The most bytes that the texts of its events may have together. */
  readonly bytesMax: number;
}

export type Received =
  | ReceivedEvents
  /** A question, not an event: nothing is stored. */
  | { readonly kind: 'answer'; readonly answer: Answer };

export interface ReceivedEvents {
  readonly kind: 'events';
  readonly batch: EventBatch;
  /** What is answered once they are stored, if not 200 with the counts of a publish. */
  readonly answer?: (counts: PublishCounts) => Answer;
}

/** An answer in the sender's own terms. */
export interface Answer {
  readonly status: number;
  /** Undefined for an answer without a body. */
  readonly type?: string;
  readonly body?: string;
}

/**
 * Why a request is not taken. The first three mean that it is not from the source: whoever sent it is told no more than that, and
 * only the log tells them apart. The others tell the sender what is wrong.
 */
export type RefusalCode =
  /** No signature, or none in the form of the kind. */
  | 'unsigned'
  | 'wrong_signature'
  /** The signature is right, but too old, or of a time that is yet to come. */
  | 'expired'
  /** The body or a header has not what an event needs. */
  | 'invalid'
  /** The events are too long. */
  | 'too_large'
  | 'too_many';

/** The message is for whoever sent it, or for the log, and never has a secret in it. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  /** Places in the body that are wrong, if one can say so. */
  readonly errors: readonly FieldError[] | undefined;

  constructor(code: RefusalCode, message: string, errors?: readonly FieldError[]) {
    super(message);
    this.code = code;
    this.errors = errors;
  }
}
