import { formatDuration } from '@chronicleweaver/protocol';
import type { Source } from '../../sources/source.ts';
import { ProblemError } from '../request/problems.ts';
import type { SourceAnswer } from './schemas.ts';

/** What is told of a source: never a secret. */
export function sourceJson({ secrets, maxAgeMs, ...source }: Source): SourceAnswer {
  const { name, kind, topic, source: sender, ...own } = source;
  return {
    name,
    kind,
    address: `/in/${name}`,
    topic,
    source: sender,
    secrets: secrets.length,
    max_age: maxAgeMs === null ? null : formatDuration(maxAgeMs),
    ...own,
  };
}

export function noSuchSource(name: string): ProblemError {
  return new ProblemError(
    'source_not_found',
    `there is no source ${JSON.stringify(name)}; PUT /sources/{name} creates one`,
  );
}
