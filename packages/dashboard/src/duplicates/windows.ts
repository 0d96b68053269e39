import type { Json } from '../json/exact-json.ts';
import { itemsIn, textIn } from '../json/fields.ts';

/** Duplicates that came so late, and what a broker that remembers ids for so long would have let through. */
export interface Age {
  /** Like `2m`; empty for all that are older. */
  readonly upTo: string;
  readonly duplicates: string;
  readonly letThrough: string;
}

export function agesIn(answer: Json): Age[] {
  return itemsIn(answer, 'ages').map((age) => ({
    upTo: textIn(age, 'up_to'),
    duplicates: textIn(age, 'duplicates'),
    letThrough: textIn(age, 'let_through'),
  }));
}

const UNITS: Readonly<Record<string, string>> = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' };

/** A duration as the service writes it, in words: `2m` is `2 minutes`. */
export function durationWords(text: string): string {
  return [...text.matchAll(/(\d+)([smhdw])/g)]
    .map(([, count, unit]) => `${count} ${UNITS[unit!]}${count === '1' ? '' : 's'}`)
    .join(' ');
}

/** What brokers remember by default, where somebody has written it down. */
export const KNOWN_WINDOWS: Readonly<Record<string, string>> = {
  '2m': 'the default of NATS JetStream',
  '5m': 'the window of SQS FIFO',
};
