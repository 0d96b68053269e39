import { compileTopicPatterns, topicPatternCovers, topicPatternFault } from '@chronicleweaver/protocol';
import { grouped, sizeText } from '@chronicleweaver/vitals';
import { durationWords } from '../duplicates/windows.ts';
import type { Json } from '../json/exact-json.ts';
import { itemsIn, plainText, roughly, textIn } from '../json/fields.ts';

/** The policies of a service, each with one of its patterns. */
interface Rule {
  readonly pattern: string;
  readonly matches: (topic: string) => boolean;
  readonly policy: Json;
}

/** Finds the policy that a topic obeys: the one with the narrowest pattern that matches it [RET-2]. */
export function policyFinder(answer: Json): (topic: string) => Json | undefined {
  const rules = itemsIn(answer, 'policies').flatMap((policy) =>
    itemsIn(policy, 'topics')
      .map((topic) => plainText(topic))
      .filter((pattern) => topicPatternFault(pattern) === undefined)
      .map((pattern): Rule => ({ pattern, matches: compileTopicPatterns([pattern]), policy })),
  );
  return (topic) => {
    let narrowest: Rule | undefined;
    for (const rule of rules) {
      const isNarrower = narrowest === undefined || topicPatternCovers(narrowest.pattern, rule.pattern);
      if (isNarrower && rule.matches(topic)) narrowest = rule;
    }
    return narrowest?.policy;
  };
}

/** How long a policy keeps events, in words, such as `30 days, 10 GB`. */
export function keptWords(policy: Json): string {
  if (textIn(policy, 'keep') === 'ids') return 'ids alone';
  const bounds = [
    durationWords(textIn(policy, 'max_age')),
    textIn(policy, 'max_bytes') && sizeText(roughly(policy, 'max_bytes')),
    textIn(policy, 'max_events') && `${grouped(textIn(policy, 'max_events'))} events`,
  ].filter((one) => one !== '');
  return bounds.join(', ');
}
