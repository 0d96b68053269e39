import { createHash } from 'node:crypto';
import { LIMITS } from '@chronicleweaver/protocol';
import { hasAtMost } from './attributes.ts';

/**
 * The id under which an event is stored, from what identifies a CloudEvent: its source and its id. A space stands between the
 * two, and none is left in the source, so that no other pair makes the same text. What is too long is told by its digest,
 * which has no space.
 */
export function eventIdOf(source: string, id: string): string {
  const both = `${source.replaceAll('%', '%25').replaceAll(' ', '%20')} ${id}`;
  return withinChars(both, LIMITS.eventIdCharsMax);
}

/** The source under which an event is stored. */
export function eventSourceOf(source: string): string {
  return withinChars(source, LIMITS.sourceCharsMax);
}

/** The text, or its digest if it has more characters than that. */
function withinChars(text: string, charsMax: number): string {
  if (hasAtMost(text, charsMax)) return text;
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
