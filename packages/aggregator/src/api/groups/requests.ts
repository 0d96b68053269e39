import {
  type FieldError,
  LIMITS,
  TIMESTAMP_EXPECTED,
  firstMsFrom,
  parseTimestamp,
  topicPatternFault,
} from '@chronicleweaver/protocol';
import type { Definition, Push, Start } from '../../store/group-store.ts';
import { isLeaseId } from '../../groups/lease-id.ts';
import { webhookKeyOf, webhookSecretFault, webhookUrlFault } from '../../webhooks/sender.ts';
import { invalidFields } from '../request/problems.ts';
import type { DefinitionBody } from './schemas.ts';

/**
 * Checks that the schemas of group requests cannot express. Each function throws a ProblemError that names the field.
 */

const LEASE_MS = 30_000;
const DELIVERIES_MAX = 5;

export function definitionOf(name: string, body: DefinitionBody, webhookAllowPrivate: boolean): Definition {
  const { topics, start = 'latest', max_deliveries: deliveriesMax, push } = body;
  const { lease_ms: leaseMs = LEASE_MS } = body;
  const errors: FieldError[] = topics.flatMap((topic, index): FieldError[] => {
    const fault = topicPatternFault(topic);
    return fault === undefined
      ? []
      : [{ index, field: 'topics', message: `${JSON.stringify(topic)}: ${fault}` }];
  });
  if (push !== undefined) {
    const urlFault = webhookUrlFault(push.url, webhookAllowPrivate);
    if (urlFault !== undefined) errors.push({ index: null, field: 'push.url', message: urlFault });
    errors.push(...secretErrors(push));
    if (leaseMs < LIMITS.pushLeaseMsMin) {
      const message = `expected at least ${LIMITS.pushLeaseMsMin} with push: a target has 15 s to answer`;
      errors.push({ index: null, field: 'lease_ms', message });
    }
  }
  if (errors.length > 0) throw invalidFields(errors);
  return {
    name,
    topics: [...new Set(topics)],
    start: typeof start === 'string' && !isEnd(start) ? timeOf('start', start) : placeOf('start', start),
    leaseMs,
    deliveriesMax: deliveriesMax ?? DELIVERIES_MAX,
    push: push === undefined ? null : pushOf(push),
  };
}

type PushBody = NonNullable<DefinitionBody['push']>;

function pushOf({ url, secret, format, secrets = secret === undefined ? [] : [secret] }: PushBody): Push {
  return { url, secrets, ...(format !== undefined && { format }) };
}

/** What is wrong with the secrets. The messages never repeat one. */
function secretErrors({ secret, secrets }: PushBody): FieldError[] {
  if ((secret === undefined) === (secrets === undefined)) {
    const message = `takes 1 to ${LIMITS.pushSecretsMax} secrets, or one as push.secret; not both`;
    return [{ index: null, field: 'push.secrets', message }];
  }
  if (secret !== undefined) {
    const message = webhookSecretFault(secret);
    return message === undefined ? [] : [{ index: null, field: 'push.secret', message }];
  }
  const keys = secrets!.map((text) => webhookKeyOf(text).toString('hex'));
  return secrets!.flatMap((text, index): FieldError[] => {
    const isRepeated = keys.indexOf(keys[index]!) < index;
    const message = webhookSecretFault(text) ?? (isRepeated ? 'repeats an earlier one' : undefined);
    return message === undefined ? [] : [{ index, field: 'push.secrets', message }];
  });
}

function isEnd(text: string): text is 'earliest' | 'latest' {
  return text === 'earliest' || text === 'latest';
}

export function placeOf(field: string, place: string | number): Start {
  if (typeof place === 'number') return { offset: place };
  if (isEnd(place)) return place;
  const message = `takes an offset, earliest or latest, not ${JSON.stringify(place)}`;
  throw invalidFields([{ index: null, field, message }]);
}

export function timeOf(field: string, text: string): Start {
  const instant = parseTimestamp(text);
  // `received_at` has whole milliseconds, so a finer time means the next millisecond.
  if (instant !== undefined) return { timeMs: firstMsFrom(instant) };
  const others = field === 'start' ? 'earliest, latest, an offset or ' : '';
  const message = `takes ${others}${TIMESTAMP_EXPECTED}, not ${JSON.stringify(text)}`;
  throw invalidFields([{ index: null, field, message }]);
}

export function leaseIdsOf(ids: readonly string[]): readonly string[] {
  const index = ids.findIndex((id) => !isLeaseId(id));
  if (index === -1) return ids;
  throw invalidFields([
    { index, field: 'lease_ids', message: 'is not a lease id: send it as a pull returned it' },
  ]);
}
