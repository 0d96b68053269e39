import type { SeededRandom } from '../lab/random.ts';
import type { Operation } from './operations.ts';
import { parameterText } from './schema-values.ts';
import { escaped, hostileText, plainText } from './values.ts';

/** Path and query of a request. */
export interface Address {
  readonly text: string;
  /** Nothing about the query keeps a valid body from being taken. */
  readonly isSound: boolean;
}

/** An address for the operation; that of a publish is mostly sound. */
export function addressOf(
  random: SeededRandom,
  { path, parameters }: Operation,
  isPublish: boolean,
): Address {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters.find((one) => one.name === name);
    // A group must be met again now and then.
    if (name === 'name' && random.chance(0.6)) return random.of(['one', 'two', 'three']);
    return escaped(
      random,
      random.chance(0.5) ? plainText(random) : parameterText(random, parameter?.schema ?? {}),
    );
  });
  if (isPublish && random.chance(0.8))
    return { text: random.chance(0.7) ? `${filled}?results=true` : filled, isSound: true };
  const query: string[] = [];
  for (const { name, schema } of parameters.filter((parameter) => parameter.in === 'query')) {
    for (let again = random.chance(0.35) ? 1 : 0; again > 0; again = random.chance(0.05) ? 1 : 0) {
      query.push(`${escaped(random, name)}=${escaped(random, parameterText(random, schema))}`);
    }
  }
  if (random.chance(0.1))
    query.push(`${escaped(random, hostileText(random))}=${escaped(random, hostileText(random))}`);
  if (random.chance(0.05))
    query.push(random.of(['%', 'a=%ff', '&&&', '=', '?', 'a[b]=c', 'a[]=1', '__proto__[x]=1', '#x', 'a;b']));
  const form = random.chance(0.03) ? random.of(ODD_FORMS) : '';
  return { text: form + filled + (query.length > 0 ? `?${query.join('&')}` : ''), isSound: false };
}

const ODD_FORMS = [
  'http://localhost',
  'https://evil.example:1',
  '//',
  '/.',
  '/..',
  '/%2e%2e',
  '\\',
  'x',
] as const;
