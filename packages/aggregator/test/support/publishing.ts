import assert from 'node:assert/strict';
import type { PublishAnswer } from '@chronicleweaver/protocol';
import { eventWith } from './events.ts';

export const MIB = 1024 * 1024;

export async function answerIn(response: Response): Promise<PublishAnswer> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as PublishAnswer;
}

/** Verdict and offset of each event, like "duplicate 3". */
export function verdictsIn({ results }: PublishAnswer): string[] {
  return results!.map(({ verdict, offset }) => `${verdict} ${offset}`);
}

/** A body that is a valid publish of one event and has exactly this many bytes. */
export function bodyOfBytes(bytes: number): Buffer {
  const text = JSON.stringify({ events: [eventWith()] });
  return Buffer.from(text.padEnd(bytes, ' '));
}
