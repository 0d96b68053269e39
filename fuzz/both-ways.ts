import type { Exchange } from './exchange.ts';
import type { RawResponse } from './http-response.ts';
import { publishAnswerIn } from './judge.ts';
import type { Step } from './step.ts';

/**
 * The service answers plain publishes on a way of its own, and all others through its framework, also the same request
 * under another spelling of its address. Both must answer alike.
 */
export function throughFramework(step: Step): Step | null {
  const text = step.bytes.toString('latin1');
  if (!step.isOnePublish || !/^POST \/publish[ ?]/.test(text)) return null;
  return { ...step, bytes: Buffer.from(text.replace('/publish', '/%70ublish'), 'latin1') };
}

/** What differs between the answers to a step and to the same sent again through the framework. */
export function differencesBetween(one: Exchange, other: Exchange): string[] {
  // Who closes first may miss an answer.
  const isCut = one.isEnded || other.isEnded;
  if (isCut && one.responses.length !== other.responses.length) return [];
  const [plain, framed] = [one, other].map(({ responses }) => responses.map(comparable).join('\n'));
  return plain === framed ? [] : [`through the framework it is ${framed}, otherwise ${plain}`];
}

/** A response without its time, and without what is different if the same events come again. */
function comparable(response: RawResponse): string {
  const isTaken = publishAnswerIn(response) !== null;
  const headers = response.headers
    .filter(([name]) => name !== 'date' && !(isTaken && name === 'content-length'))
    .map(([name, value]) => `${name}: ${value}`)
    .toSorted();
  const body = response.body.toString();
  const lasting = isTaken
    ? body.replace(/"(accepted|duplicates|conflicts)":\d+/g, '').replace(/"verdict":"\w+"/g, '')
    : body;
  return JSON.stringify([response.status, headers, lasting]).slice(0, 1000);
}
