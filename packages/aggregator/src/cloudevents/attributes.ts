import { LIMITS, parseTimestamp } from '@chronicleweaver/protocol';

/** The attributes that every CloudEvent has (CloudEvents 1.0.2, "Required Attributes"). */
export const REQUIRED = ['specversion', 'id', 'source', 'type'] as const;

/** The attributes of the specification, all of which are strings. Every other one is an extension. */
const CORE: ReadonlySet<string> = new Set([...REQUIRED, 'time', 'subject', 'datacontenttype', 'dataschema']);

/** Whether the attribute must be a string. An extension may be a boolean or a number as well. */
export function isCore(name: string): boolean {
  return CORE.has(name);
}

/** What is wrong with the name of an attribute, in words for the publisher. */
export function nameFault(name: string): string | undefined {
  if (name === 'data' || name === 'data_base64') return undefined;
  return /^[a-z0-9]+$/.test(name) ? undefined : 'expected a name of lower-case letters and digits';
}

/** What is wrong with an attribute whose value is this string. */
export function valueFault(name: string, text: string): string | undefined {
  if (name === 'specversion' && text === '1.0') return undefined;
  if (CONTROL.test(text)) return 'contains a control character';
  if (!CORE.has(name)) return undefined;
  if (text === '') return 'must not be empty';
  if (name === 'specversion' && text !== '1.0') return `expected "1.0", got ${JSON.stringify(text)}`;
  if (name === 'time' && !isTime(text)) {
    return `expected an RFC 3339 time such as 2025-10-28T10:00:00Z, got ${JSON.stringify(text.slice(0, 64))}`;
  }
  return undefined;
}

/** What is wrong with a type that is to be the topic. */
export function topicFault(type: string): string | undefined {
  if (hasAtMost(type, LIMITS.topicCharsMax)) return undefined;
  return `becomes the topic, which takes ${LIMITS.topicCharsMax} characters; /topics/{topic}/cloudevents takes any type`;
}

/** Whether the text is a date and time as RFC 3339 has it, of which our own times are a superset. */
export function isTime(text: string): boolean {
  return RFC_3339.test(text) && parseTimestamp(text) !== undefined;
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Characters that no attribute may contain (CloudEvents 1.0.2, "Type System"); half surrogates are refused elsewhere. */
const CONTROL = /\p{Cc}/u;

/** Whether the text has at most so many characters (Unicode code points). */
export function hasAtMost(text: string, charsMax: number): boolean {
  if (text.length <= charsMax) return true;
  let chars = 0;
  for (const _ of text) if (++chars > charsMax) return false;
  return true;
}

/** Whether the media type says that the data are JSON. Without a type they are (JSON format 1.0.2, 3.1). */
export function isJsonType(type: string | undefined): boolean {
  return type === undefined || /^\s*[^/;\s]+\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(type);
}
