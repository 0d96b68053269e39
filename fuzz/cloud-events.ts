import type { SeededRandom } from '../lab/random.ts';
import { type Headers, headerText } from './headers.ts';
import { brokenText, hostileValue, validObject } from './json-text.ts';
import { hostileText, plainText } from './values.ts';

/** CloudEvents in one of the three modes, often with something wrong in them. */
export interface CloudEventsBody {
  readonly bytes: Buffer;
  readonly type: string;
  readonly headers: Headers;
}

export function cloudEventsBody(random: SeededRandom): CloudEventsBody {
  const isBinary = random.chance(0.4);
  if (isBinary) return binary(random);
  const isBatch = random.chance(0.5);
  const events = Array.from({ length: isBatch ? random.whole(0, 4) : 1 }, () => eventText(random));
  const text = isBatch ? `[${events.join()}]` : events[0]!;
  return {
    bytes: Buffer.from(random.chance(0.15) ? brokenText(random, text) : text),
    type: `application/cloudevents${isBatch ? '-batch' : ''}+json`,
    headers: [],
  };
}

function eventText(random: SeededRandom): string {
  const members: [name: string, text: string][] = attributes(random).map(([name, value]) => [
    name,
    JSON.stringify(value),
  ]);
  if (random.chance(0.6)) members.push(['data', validObject(random, 4)]);
  if (random.chance(0.2))
    members.push(['data_base64', random.of(['"AAAA"', '"AA=="', '"A"', '"%"', 'null'])]);
  if (random.chance(0.2)) members.push([hostileText(random), hostileValue(random)]);
  if (random.chance(0.2)) members[random.whole(0, members.length - 1)]![1] = hostileValue(random);
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

function binary(random: SeededRandom): CloudEventsBody {
  const headers = attributes(random).map(([name, value]): [string, string] => [
    `${random.of(['ce-', 'Ce-', 'CE-'])}${name}`,
    headerText(random.chance(0.3) ? random.of(HEADER_TEXTS) : value),
  ]);
  if (random.chance(0.1))
    headers.push([`ce-${random.of(['data', 'my-ext', 'datacontenttype', 'id', '1'])}`, 'x']);
  const text = random.chance(0.5) ? validObject(random, 4) : hostileText(random);
  return { bytes: Buffer.from(text), type: random.of(DATA_TYPES), headers };
}

/** Mostly those that an event must have, and a few more. */
function attributes(random: SeededRandom): [name: string, value: string][] {
  const all: [string, string][] = [
    ['specversion', random.chance(0.95) ? '1.0' : random.of(['0.3', '1', ''])],
    ['id', random.chance(0.5) ? `ce-${random.whole(0, 50)}` : hostileText(random)],
    ['source', random.chance(0.7) ? random.of(['/shop', 'urn:x', 'a b%']) : hostileText(random)],
    ['type', random.chance(0.7) ? plainText(random) : hostileText(random)],
    ['time', random.of(['2025-10-28T10:00:00Z', '2016-12-31T23:59:60.5+01:00', '2025-10-28', 'now'])],
    ['subject', plainText(random)],
    ['datacontenttype', 'application/json'],
    ['ext', hostileText(random)],
  ];
  return all.filter((_, i) => random.chance(i < 4 ? 0.97 : 0.3));
}

const HEADER_TEXTS = [
  '%E2%82%AC%20',
  '%C0%A0',
  '%',
  '%2',
  '"a \\"b\\" ',
  '"\\',
  '"'.repeat(5000),
  '"\\"'.repeat(3000),
  '%20'.repeat(3000),
] as const;

const DATA_TYPES = [
  'application/json',
  'text/plain',
  'text/plain; charset=latin1',
  'application/octet-stream',
  'application/xml',
  'application/x-ndjson',
  'x',
] as const;
