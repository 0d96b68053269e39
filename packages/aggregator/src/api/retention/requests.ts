import {
  BYTE_SIZE_EXPECTED,
  DURATION_EXPECTED,
  type FieldError,
  parseByteSize,
  parseDuration,
  topicPatternFault,
} from '@chronicleweaver/protocol';
import type { Policy } from '../../retention/retention.ts';
import { invalidFields } from '../request/problems.ts';
import type { PolicyBody } from './schemas.ts';

/** The policy that a request defines. Throws a ProblemError that names each field which is wrong, or contradicts another. */
export function policyOf(name: string, body: PolicyBody): Policy {
  const errors: FieldError[] = [];
  const refuse = (field: string, message: string, index: number | null = null): null => {
    errors.push({ index, field, message });
    return null;
  };
  const durationOf = (field: string, text: string | null, others = ''): number | null =>
    text === null
      ? null
      : (parseDuration(text) ??
        refuse(field, `takes ${others}${DURATION_EXPECTED}, not ${JSON.stringify(text)}`));
  for (const [index, topic] of body.topics.entries()) {
    const fault = topicPatternFault(topic);
    if (fault !== undefined) refuse('topics', `${JSON.stringify(topic)}: ${fault}`, index);
  }
  const { ids = 'forever', max_bytes: bytes = null } = body;
  const policy: Policy = {
    name,
    topics: [...new Set(body.topics)],
    keep: body.keep === 'ids' ? 'ids' : 'events',
    maxAgeMs: durationOf('max_age', body.max_age ?? null),
    maxBytes:
      typeof bytes === 'string'
        ? (parseByteSize(bytes) ??
          refuse('max_bytes', `takes ${BYTE_SIZE_EXPECTED}, not ${JSON.stringify(bytes)}`))
        : bytes,
    maxEvents: body.max_events ?? null,
    idsMs: ids === 'forever' ? null : durationOf('ids', ids, 'forever or '),
    pastGroups: body.past_groups ?? false,
    heldMaxMs: durationOf('held_max', body.held_max ?? null),
  };
  if (errors.length === 0) errors.push(...contradictions(policy));
  if (errors.length === 0) return policy;
  throw invalidFields(errors);
}

/** What is wrong between the fields of a policy, each of which is right. */
function contradictions(policy: Policy): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (field: string, message: string): void => {
    errors.push({ index: null, field, message });
  };
  const { keep, maxAgeMs, maxBytes, maxEvents, idsMs, pastGroups, heldMaxMs } = policy;
  if (keep === 'ids') {
    const meant = { max_age: maxAgeMs, max_bytes: maxBytes, max_events: maxEvents, held_max: heldMaxMs };
    for (const [field, value] of Object.entries(meant)) {
      if (value !== null) refuse(field, 'has no meaning with keep "ids": no text is kept');
    }
    if (pastGroups) refuse('past_groups', 'has no meaning with keep "ids": no group sees these events');
    return errors;
  }
  if (maxAgeMs === null && maxBytes === null && maxEvents === null) {
    refuse('max_age', 'a policy needs a bound: max_age, max_bytes or max_events, or keep "ids"');
  }
  if (idsMs !== null && maxAgeMs === null) {
    refuse('ids', 'needs a max_age that is not longer: the id of an event that is kept stays known');
  } else if (idsMs !== null && maxAgeMs !== null && idsMs < maxAgeMs) {
    refuse('ids', 'must not be shorter than max_age: the id of an event that is kept stays known');
  }
  if (pastGroups && heldMaxMs !== null) {
    refuse('held_max', 'has no meaning with past_groups: no group holds anything');
  }
  return errors;
}
