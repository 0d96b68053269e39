import type { SeededRandom } from '../lab/random.ts';
import { brokenText, hostileValue } from './json-text.ts';
import type { Schema } from './operations.ts';
import { hostileText, plainText } from './values.ts';

/** A value for a parameter, often one that its schema allows. */
export function parameterText(random: SeededRandom, schema: Schema): string {
  if (random.chance(0.3)) return hostileText(random);
  if (schema.enum !== undefined) return String(schema.enum[random.whole(0, schema.enum.length - 1)]);
  const type = [schema.type ?? 'string'].flat()[0];
  if (type === 'integer') return String(integerOf(random, schema));
  if (type === 'boolean') return random.of(['true', 'false']);
  return plainText(random);
}

/** A body made from its schema, perhaps with something wrong in it. */
export function bodyText(random: SeededRandom, schema: Schema): string {
  const text = valueText(random, schema, 'body');
  return random.chance(0.1) ? brokenText(random, text) : text;
}

function valueText(random: SeededRandom, schema: Schema, name: string): string {
  if (random.chance(0.08)) return hostileValue(random);
  // Other tests cover long waits; here they would take most of the time.
  if (name === 'wait_ms') return random.of(['0', '1', '30']);
  const type = [schema.type ?? 'object'].flat();
  switch (type[random.whole(0, type.length - 1)] ?? 'object') {
    case 'integer':
      return String(integerOf(random, schema));
    case 'boolean':
      return 'true';
    case 'array': {
      const items = Array.from({ length: random.whole(1, 3) }, () =>
        valueText(random, schema.items ?? {}, name),
      );
      return `[${items.join()}]`;
    }
    case 'string':
      return JSON.stringify(
        random.chance(0.5)
          ? random.of(['>', '*', 'orders', 'earliest', 'latest', 'a.>'])
          : hostileText(random),
      );
    default: {
      const properties = Object.entries(schema.properties ?? {}).filter(
        ([member]) => (schema.required ?? []).includes(member) || random.chance(0.5),
      );
      return `{${properties.map(([member, one]) => `${JSON.stringify(member)}:${valueText(random, one, member)}`).join()}}`;
    }
  }
}

function integerOf(random: SeededRandom, { minimum = 0, maximum = 1000 }: Schema): number {
  // A large value would mean waiting for an hour.
  const highest = Math.min(maximum, 1000);
  return random.of([minimum, highest, maximum > 100_000 ? 7 : maximum, random.whole(0, 20)]);
}
