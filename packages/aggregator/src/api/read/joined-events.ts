/**
 * The answer `{"count":n,"events":[…]}`, in which further members follow each event's own; its JSON is spliced, not
 * parsed. `membersOf` returns ASCII like `"a":1,"b":2`; `more` is further members of the answer, like `,"next":1`.
 */
export function joinedEvents<E extends { readonly json: Uint8Array }>(
  events: readonly E[],
  membersOf: (event: E) => string,
  more: string,
): Buffer {
  const members = events.map(membersOf);
  const head = `{"count":${events.length},"events":[`;
  let length = head.length + more.length + 2;
  // A comma replaces each event's closing brace; then come the members, a brace, and a comma except after the last event.
  for (const [i, { json }] of events.entries()) length += json.length + members[i]!.length + 2;
  if (events.length > 0) length -= 1;

  const answer = Buffer.allocUnsafe(length);
  let at = answer.write(head, 0, 'latin1');
  for (const [i, { json }] of events.entries()) {
    if (i > 0) answer[at++] = COMMA;
    answer.set(json, at);
    at += json.length;
    answer[at - 1] = COMMA;
    at += answer.write(members[i]!, at, 'latin1');
    answer[at++] = BRACE;
  }
  at += answer.write(`]${more}}`, at, 'latin1');
  if (at !== length) throw new Error(`an answer of ${at} bytes was expected to have ${length}`);
  return answer;
}

const COMMA = ','.charCodeAt(0);
const BRACE = '}'.charCodeAt(0);
