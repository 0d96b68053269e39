import type { FieldError } from '@chronicleweaver/protocol';
import { parsePointer } from '../../event/json-place.ts';
import { TopicTemplate } from '../../event/topic-template.ts';
import { contentOf, digestOf, headerIn, oneEvent, textIn, timeIn } from '../one-event.ts';
import { requireSigned, signatureBytes } from '../signatures.ts';
import { type Delivery, Refusal, type SignatureForm, type Source, type SourceKind } from '../source.ts';

/** If the definition does not say otherwise. */
const SIGNATURE: SignatureForm = {
  header: 'x-signature-256',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
};

/** A sender of whom the definition tells everything: where an id is, and how bodies are signed, if they are. */
export const generic: SourceKind = {
  secrets: 'optional',
  maxAgeMs: null,
  takes: new Set(['id', 'timestamp', 'signature']),
  bodies: 'event',
  answersHead: false,
  faultsIn,
  receive: (delivery, source) => {
    const { headers, body } = delivery;
    if (source.secrets.length > 0) requireSignature(delivery, source);
    const type = headers['content-type'];
    const parts = { headers, content: contentOf(body, type) };
    const { id: place = 'digest', timestamp } = source;
    return oneEvent(delivery, source, {
      id: place === 'digest' ? digestOf(body) : textIn(parts, place),
      idPlace: place.startsWith('/') ? `a string or number at ${place} in JSON` : `the header ${place}`,
      content: parts.content,
      headers: ['content-type'],
      time: timestamp === undefined ? undefined : timeIn(textIn(parts, timestamp)),
      topicText: (name) => textIn(parts, name),
    });
  },
};

function requireSignature({ headers, body }: Delivery, { secrets, signature = SIGNATURE }: Source): void {
  const { header, algorithm, encoding, prefix } = signature;
  const text = headerIn(headers, header);
  if (text === undefined) throw new Refusal('unsigned', `the header ${header} is missing`);
  const bytes = text.startsWith(prefix)
    ? signatureBytes(text.slice(prefix.length), encoding, algorithm)
    : undefined;
  if (bytes === undefined)
    throw new Refusal('unsigned', `the header ${header} has no ${algorithm} in ${encoding}`);
  requireSigned({ keys: secrets, algorithm, content: [body], signatures: [bytes] });
}

function faultsIn({ id, timestamp, topic, signature, secrets }: Source): FieldError[] {
  const errors: FieldError[] = [];
  const check = (field: string, place: string | undefined, others: string): void => {
    if (place === undefined) return;
    const takes = `takes ${others}the name of a header or a JSON pointer such as /id`;
    if (!isPlace(place)) errors.push({ index: null, field, message: takes });
    else if (SECRET_HEADERS.has(place.toLowerCase())) {
      errors.push({
        index: null,
        field,
        message: `${takes}; ${place} has a secret, which no event may tell`,
      });
    }
  };
  check('id', id, 'digest, ');
  check('timestamp', timestamp, '');
  for (const name of new TopicTemplate(topic).names) check('topic', name, 'in braces ');
  if (signature !== undefined && !HEADER_NAME.test(signature.header)) {
    errors.push({ index: null, field: 'signature.header', message: 'takes the name of a header' });
  }
  if (signature !== undefined && secrets.length === 0) {
    errors.push({ index: null, field: 'signature', message: 'has no meaning without secrets' });
  }
  return errors;
}

function isPlace(place: string): boolean {
  return place.startsWith('/') ? parsePointer(place) !== undefined : HEADER_NAME.test(place);
}

/** Whoever reads events reads their ids and topics. */
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'api-key',
  'apikey',
  'x-api-key',
  'x-access-token',
  'x-auth-token',
  'x-gitlab-token',
]);

/** RFC 9110, 5.1. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
