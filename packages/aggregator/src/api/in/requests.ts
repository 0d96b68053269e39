import { DURATION_EXPECTED, type FieldError, LIMITS, parseDuration } from '@chronicleweaver/protocol';
import { topicTemplateFault } from '../../event/topic-template.ts';
import { KIND_OF } from '../../sources/kinds.ts';
import type { OwnMember, Source, SourceKind } from '../../sources/source.ts';
import { invalidFields } from '../request/problems.ts';
import type { SourceBody } from './schemas.ts';

const OWN: readonly OwnMember[] = ['id', 'timestamp', 'digest', 'records', 'signature'];

/** The source that a request defines. Throws a ProblemError that names each field which is wrong; it never repeats a secret. */
export function sourceOf(name: string, body: SourceBody): Source {
  const kind = KIND_OF[body.kind];
  const errors: FieldError[] = [];
  const refuse = (field: string, message: string, index: number | null = null): void => {
    errors.push({ index, field, message });
  };
  const topicFault = nameFault(body.topic) ?? topicTemplateFault(body.topic);
  if (topicFault !== undefined) refuse('topic', topicFault);
  const sender = body.source ?? name;
  const sourceFault = nameFault(sender);
  if (sourceFault !== undefined) refuse('source', sourceFault);
  for (const member of OWN) {
    if (body[member] !== undefined && !kind.takes.has(member))
      refuse(member, `has no meaning for the kind ${body.kind}`);
  }
  const secrets = body.secrets ?? (body.secret === undefined ? [] : [body.secret]);
  checkSecrets(body, kind, refuse);
  const maxAgeMs = maxAgeOf(body, kind, refuse);
  if (errors.length > 0) throw invalidFields(errors);

  const { signature } = body;
  const source: Source = {
    name,
    kind: body.kind,
    topic: body.topic,
    source: sender,
    secrets,
    maxAgeMs,
    ...(body.id !== undefined && { id: body.id }),
    ...(body.timestamp !== undefined && { timestamp: body.timestamp }),
    ...(body.digest !== undefined && { digest: body.digest }),
    ...(body.records !== undefined && { records: body.records }),
    ...(signature !== undefined && {
      signature: {
        header: signature.header.toLowerCase(),
        algorithm: signature.algorithm ?? 'sha256',
        encoding: signature.encoding ?? 'hex',
        prefix: signature.prefix ?? '',
      },
    }),
  };
  errors.push(...kind.faultsIn(source));
  if (errors.length > 0) throw invalidFields(errors);
  return source;
}

type Refuse = (field: string, message: string, index?: number) => void;

function checkSecrets(body: SourceBody, kind: SourceKind, refuse: Refuse): void {
  const { secret, secrets, kind: name } = body;
  const takes = `1 to ${LIMITS.sourceSecretsMax} secrets, or one as secret`;
  if (secret !== undefined && secrets !== undefined) refuse('secrets', `takes ${takes}; not both`);
  const isGiven = secret !== undefined || secrets !== undefined;
  if (kind.secrets === 'none' && isGiven) refuse('secrets', `has no meaning for the kind ${name}`);
  if (kind.secrets === 'required' && !isGiven)
    refuse('secrets', `is missing: the kind ${name} takes ${takes}`);
  for (const [index, one] of (secrets ?? []).entries()) {
    if (secrets!.indexOf(one) < index) refuse('secrets', 'repeats an earlier one', index);
  }
}

function maxAgeOf(
  { max_age: text, kind: name }: SourceBody,
  kind: SourceKind,
  refuse: Refuse,
): number | null {
  if (text === undefined) return kind.maxAgeMs;
  const ms = parseDuration(text);
  if (kind.maxAgeMs === null)
    refuse('max_age', `has no meaning for the kind ${name}: its signatures tell no time`);
  else if (ms === undefined) refuse('max_age', `takes ${DURATION_EXPECTED}, not ${JSON.stringify(text)}`);
  return ms ?? null;
}

/** What is wrong with a text that stands in events. */
function nameFault(text: string): string | undefined {
  return text.includes('\0') ? 'contains a NUL character, which names must not contain' : undefined;
}
