import { compileTopicPatterns } from '@chronicleweaver/protocol';
import { memberText, parseExact } from '../json/exact-json.ts';
import { field, textIn, writeExact } from '../json/fields.ts';

/** What to find, and in the payloads of which events. */
export interface Wanted {
  readonly text: string;
  /** Whether `a` and `A` differ. */
  readonly isCaseMeant: boolean;
  /** Patterns of topics; all topics if there are none. They must be valid. */
  readonly topics: readonly string[];
}

/** An event with the text in its payload. */
export interface Match {
  readonly offset: string;
  readonly topic: string;
  readonly id: string;
  readonly receivedAt: string;
  /** The text as it stands in the payload, with some of what is around it. */
  readonly excerpt: { readonly before: string; readonly text: string; readonly after: string };
}

/** Characters of a payload that are shown around what was found. */
const BEFORE_CHARS = 40;
const AFTER_CHARS = 120;

/**
 * Makes a test of lines, each an event as the service gives it. The text is looked for in the payload as it was sent, digit by digit and
 * without blanks between tokens, and also as it reads where a string has escapes: `é` is found in `"\u00e9"`, too.
 */
export function matcherOf({ text, isCaseMeant, topics }: Wanted): (line: string) => Match | undefined {
  const fold = (one: string): string => (isCaseMeant ? one : one.toLowerCase());
  const needle = fold(text);
  const isOnTopic = topics.length === 0 ? () => true : compileTopicPatterns(topics);
  return (line) => {
    // Most lines are done with here, without being parsed.
    if (!line.includes('\\') && !fold(line).includes(needle)) return undefined;
    const event = parseExact(line);
    const payload = field(event, 'payload');
    const topic = textIn(event, 'topic');
    if (payload === undefined || !isOnTopic(topic)) return undefined;
    const found = [memberText(line, 'payload') ?? '', writeExact(payload)].find((one) =>
      fold(one).includes(needle),
    );
    if (found === undefined) return undefined;
    return {
      offset: textIn(event, 'offset'),
      topic,
      id: textIn(event, 'event_id'),
      receivedAt: textIn(event, 'received_at'),
      excerpt: excerptOf(found, fold(found), needle),
    };
  };
}

function excerptOf(payload: string, folded: string, needle: string): Match['excerpt'] {
  // A few letters become longer in lower case, and then no place in one is the same in the other.
  if (folded.length !== payload.length) {
    return { before: payload.slice(0, BEFORE_CHARS + AFTER_CHARS), text: '', after: '' };
  }
  const at = folded.indexOf(needle);
  const end = at + needle.length;
  return {
    before: (at > BEFORE_CHARS ? '…' : '') + payload.slice(Math.max(0, at - BEFORE_CHARS), at),
    text: payload.slice(at, end),
    after: payload.slice(end, end + AFTER_CHARS) + (payload.length > end + AFTER_CHARS ? '…' : ''),
  };
}

/** The offset of an event: the service puts it behind the event's own members. Below 2^53, as all of them are. */
export function offsetIn(line: string): number {
  const [, digits] = /"offset":(\d+),"received_at":"[^"]*"\}$/.exec(line) ?? [];
  return Number(digits ?? textIn(parseExact(line), 'offset'));
}
