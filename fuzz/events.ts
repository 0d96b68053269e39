import { LIMITS } from '@chronicleweaver/protocol';
import type { SeededRandom } from '../lab/random.ts';
import { brokenText, hostileValue, stringText, validObject } from './json-text.ts';
import { hostileText, plainText } from './values.ts';

/** A body for `POST /publish`. */
export interface PublishBody {
  readonly text: string;
  /** The events that must be stored exactly as written here, in order. Null if the body may be refused. */
  readonly valid: readonly string[] | null;
}

/** A valid body, one with a faulty event, or one that is broken as a whole. */
export function publishBody(random: SeededRandom, step: number): PublishBody {
  const count = random.of([0, 1, 1, 1, 2, 3, 20] as const);
  const isBare = count === 1 && random.chance(0.3);
  const isFaulty = random.chance(0.4);
  const faultyAt = isFaulty ? random.whole(0, Math.max(0, count - 1)) : -1;
  const events = Array.from({ length: count }, (_, i) =>
    eventText(random, `${step}-${i}`, i === faultyAt, random.chance(0.05)),
  );
  const text = isBare ? events[0]! : `{"events":[${events.join(random.of([',', ' , ', ',\r\n']))}]}`;
  if (random.chance(0.15)) return { text: brokenText(random, text), valid: null };
  return { text, valid: isFaulty && count > 0 ? null : events };
}

/** The text of one event. A faulty one has one or two changes that may make it invalid. */
function eventText(random: SeededRandom, id: string, isFaulty: boolean, isLong: boolean): string {
  const name = (max: number): string =>
    isLong
      ? random.of(['x', 'é', '😀'] as const).repeat(max)
      : random.chance(0.3)
        ? decent(random, max)
        : plainText(random);
  let members: [name: string, text: string][] = [
    // The step's number keeps ids of different steps apart.
    ['event_id', stringText(random, `${id} ${random.chance(0.2) ? decent(random, 400) : ''}`)],
    ['topic', stringText(random, name(LIMITS.topicCharsMax))],
    ['source', stringText(random, name(LIMITS.sourceCharsMax))],
    ['payload', validObject(random, 4)],
    ['timestamp', random.of(TIMES)],
  ];
  if (random.chance(0.2)) members = shuffled(random, members);
  for (let faults = isFaulty ? random.whole(1, 2) : 0; faults > 0; faults--) {
    const at = random.whole(0, members.length - 1);
    const member = members[at];
    switch (random.whole(0, 4)) {
      case 0:
        members.splice(at, 1);
        break;
      case 1:
        if (member !== undefined) members.push(member);
        break;
      case 2:
        members.splice(at, 0, [hostileText(random), hostileValue(random)]);
        break;
      default:
        if (member !== undefined) members[at] = [member[0], hostileValue(random)];
    }
  }
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

/** A hostile text that is still a valid name. */
function decent(random: SeededRandom, charsMax: number): string {
  const text = hostileText(random).replaceAll('\0', '').toWellFormed();
  return Array.from(text).slice(0, charsMax).join('') || 'x';
}

function shuffled<T>(random: SeededRandom, all: readonly T[]): T[] {
  return all
    .map((one) => [random.whole(0, 1_000_000), one] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, one]) => one);
}

const TIMES = [
  '"2025-10-28T10:00:00Z"',
  '"2025-10-28"',
  '"2025-10-28 10:00:00,5+07"',
  '"2016-12-31T23:59:60Z"',
  '"0000-01-01T00:00:00+23:59"',
  '"9999-12-31T23:59:59.999999999Z"',
  '"2025\\u002d10-28"',
] as const;
