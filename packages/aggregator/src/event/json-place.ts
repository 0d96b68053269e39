/**
 * Finds values in JSON without reading the rest of it into objects, so that a number keeps its digits. The text must be valid and
 * without whitespace between tokens, as CompactJson makes it.
 */

/** The names and places that a JSON pointer (RFC 6901) leads along; undefined if it is none. */
export function parsePointer(pointer: string): readonly string[] | undefined {
  if (pointer !== '' && !pointer.startsWith('/')) return undefined;
  if (/~(?![01])/.test(pointer)) return undefined;
  const [, ...path] = pointer.split('/');
  return path.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The JSON of the value at the end of that path; undefined if there is none. */
export function jsonAt(json: string, path: readonly string[]): string | undefined {
  let start = 0;
  for (const name of path) {
    const next = childAt(json, start, name);
    if (next === undefined) return undefined;
    start = next;
  }
  return json.slice(start, endOfValue(json, start));
}

/** The text of the string or the digits of the number there; undefined if there is neither. */
export function textAt(json: string, path: readonly string[]): string | undefined {
  const found = jsonAt(json, path);
  if (found === undefined) return undefined;
  if (found.startsWith('"')) return JSON.parse(found) as string;
  return /^[-\d]/.test(found) ? found : undefined;
}

/** The JSON of each member of an object, by its name; none of anything else. */
export function membersIn(json: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  if (!json.startsWith('{')) return members;
  for (const { name, valueStart, end } of membersOf(json, 0)) members.set(name, json.slice(valueStart, end));
  return members;
}

/** The object without its member of that name, or the JSON as it is. */
export function withoutMember(json: string, name: string): string {
  if (!json.startsWith('{')) return json;
  for (const member of membersOf(json, 0)) {
    if (member.name !== name) continue;
    const isFirst = member.start === 1;
    const isLast = json[member.end] === '}';
    // One comma goes along.
    return (
      json.slice(0, isLast && !isFirst ? member.start - 1 : member.start) +
      json.slice(isLast ? member.end : member.end + 1)
    );
  }
  return json;
}

/** The JSON of each element of an array. */
export function* elementsOf(json: string): Generator<string> {
  for (let at = 1; at < json.length - 1;) {
    const end = endOfValue(json, at);
    yield json.slice(at, end);
    at = end + 1;
  }
}

/** Where the value begins that the object or array at `start` has under this name or at this place. */
function childAt(json: string, start: number, name: string): number | undefined {
  if (json[start] === '{') {
    for (const member of membersOf(json, start)) if (member.name === name) return member.valueStart;
  } else if (json[start] === '[' && /^(?:0|[1-9]\d*)$/.test(name) && json[start + 1] !== ']') {
    let at = start + 1;
    for (let left = Number(name); left > 0; left--) {
      const end = endOfValue(json, at);
      if (json[end] === ']') return undefined;
      at = end + 1;
    }
    return at;
  }
  return undefined;
}

interface Member {
  readonly name: string;
  /** Of its name's quote. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

function* membersOf(json: string, open: number): Generator<Member> {
  for (let at = open + 1; json[at] === '"';) {
    const start = at;
    const nameEnd = endOfString(json, start);
    const name = JSON.parse(json.slice(start, nameEnd)) as string;
    const end = endOfValue(json, nameEnd + 1);
    yield { name, start, valueStart: nameEnd + 1, end };
    at = end + 1;
  }
}

function endOfValue(json: string, start: number): number {
  let at = start;
  let depth = 0;
  do {
    const char = json[at];
    if (char === '"') {
      at = endOfString(json, at);
      continue;
    }
    if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    at += 1;
  } while (at < json.length && (depth > 0 || !ENDS_VALUE.has(json[at]!)));
  return at;
}

/** Behind a value outside of all brackets. */
const ENDS_VALUE: ReadonlySet<string> = new Set([',', '}', ']']);

function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); ; at = json.indexOf('"', at + 1)) {
    let slashes = 0;
    while (json[at - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}
