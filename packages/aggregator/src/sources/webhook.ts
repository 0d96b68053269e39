import type { FieldError } from '@chronicleweaver/protocol';
import { TopicTemplate } from '../event/topic-template.ts';
import { type Content, type Made, contentOf, headerIn, oneEvent } from './one-event.ts';
import { type Answer, type Delivery, Refusal, type Source, type SourceKind } from './source.ts';

/** How a provider sends: each delivery is signed, and holds one event. */
export interface Scheme {
  /** As in SourceKind. */
  readonly maxAgeMs: number | null;
  readonly takes?: SourceKind['takes'];
  readonly faultsIn?: SourceKind['faultsIn'];
  /** Throws a Refusal unless one of the secrets has signed it, not too long ago. */
  readonly verify: (delivery: Delivery, source: Source) => void;
  /** The body, if it is not simply what came. Called once it is known to be signed, as are the others. */
  readonly contentOf?: (delivery: Delivery) => Content;
  /** The answer to a question; undefined if the delivery is an event. */
  readonly questionIn?: (content: Content) => Answer | undefined;
  readonly made: (
    delivery: Delivery,
    content: Content,
    source: Source,
  ) => Omit<Made, 'content' | 'topicText'> & {
    /** What stands for `{type}` in topics. */
    readonly type: string | undefined;
  };
  /** The answer to an event, if it is not that of all sources. */
  readonly answer?: Answer;
}

/** The kind of source that sends so. The signature is checked before anything else is read. */
export function webhook(scheme: Scheme): SourceKind {
  return {
    secrets: 'required',
    maxAgeMs: scheme.maxAgeMs,
    takes: scheme.takes ?? new Set(),
    bodies: 'event',
    answersHead: false,
    faultsIn: (source) => [...topicFaults(source), ...(scheme.faultsIn?.(source) ?? [])],
    receive: (delivery, source) => {
      scheme.verify(delivery, source);
      const content =
        scheme.contentOf?.(delivery) ?? contentOf(delivery.body, delivery.headers['content-type']);
      const question = scheme.questionIn?.(content);
      if (question !== undefined) return { kind: 'answer', answer: question };
      const { type, ...made } = scheme.made(delivery, content, source);
      const event = oneEvent(delivery, source, { ...made, content, topicText: () => type });
      return scheme.answer === undefined ? event : { ...event, answer: () => scheme.answer! };
    },
  };
}

function topicFaults({ topic, kind }: Source): FieldError[] {
  const others = new TopicTemplate(topic).names.filter((name) => name !== 'type');
  return others.map((name) => ({
    index: null,
    field: 'topic',
    message: `the kind ${kind} knows {type} alone, not {${name}}`,
  }));
}

/** The header, without which nobody has signed the delivery. */
export function signingHeader({ headers }: Delivery, name: string): string {
  const value = headerIn(headers, name);
  if (value === undefined) throw new Refusal('unsigned', `the header ${name} is missing`);
  return value;
}

/** The seconds since 1970 that a signature tells; a Refusal if it tells none. */
export function signedSeconds(text: string | undefined): number {
  if (text !== undefined && /^\d{1,12}$/.test(text)) return Number(text);
  throw new Refusal('unsigned', 'the signature has no time in seconds since 1970');
}

/** Of secrets that the provider makes, which are plain ASCII: anything else, such as the dots of an example, was never one. */
export function madeSecretFaults({ kind, secrets }: Source): FieldError[] {
  return secrets.flatMap((secret, index) => {
    if (/^[\x20-\x7e]+$/.test(secret)) return [];
    return [
      {
        index,
        field: 'secrets',
        message: `takes the secret as ${kind} shows it: letters, digits and signs of ASCII`,
      },
    ];
  });
}

export const FIVE_MINUTES_MS = 300_000;
