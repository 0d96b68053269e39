interface Spliced {
  readonly json: Uint8Array;
}

/**
 * The answer `{"count":n,"events":[…]}`, in which further members follow each event's own; its JSON is spliced, not
 * parsed. `membersOf` returns ASCII like `"a":1,"b":2`; `more` is further members of the answer, like `,"next":1`.
 */
export function joinedEvents<E extends Spliced>(
  events: readonly E[],
  membersOf: (event: E) => string,
  more: string,
): Buffer {
  return spliced(events, membersOf, {
    head: `{"count":${events.length},"events":[`,
    between: COMMA,
    tail: `]${more}}`,
  });
}

/** The same events, one per line and nothing else. */
export function eventLines<E extends Spliced>(events: readonly E[], membersOf: (event: E) => string): Buffer {
  return spliced(events, membersOf, { head: '', between: NEWLINE, tail: events.length > 0 ? '\n' : '' });
}

function spliced<E extends Spliced>(
  events: readonly E[],
  membersOf: (event: E) => string,
  { head, between, tail }: { readonly head: string; readonly between: number; readonly tail: string },
): Buffer {
  const members = events.map(membersOf);
  let length = head.length + tail.length;
  // A comma replaces each event's closing brace; then come the members, a brace, and a byte except after the last event.
  for (const [i, { json }] of events.entries()) length += json.length + members[i]!.length + 2;
  if (events.length > 0) length -= 1;

  const answer = Buffer.allocUnsafe(length);
  let at = answer.write(head, 0, 'latin1');
  for (const [i, { json }] of events.entries()) {
    if (i > 0) answer[at++] = between;
    answer.set(json, at);
    at += json.length;
    answer[at - 1] = COMMA;
    at += answer.write(members[i]!, at, 'latin1');
    answer[at++] = BRACE;
  }
  at += answer.write(tail, at, 'latin1');
  if (at !== length) throw new Error(`an answer of ${at} bytes was expected to have ${length}`);
  return answer;
}

const COMMA = ','.charCodeAt(0);
const BRACE = '}'.charCodeAt(0);
const NEWLINE = '\n'.charCodeAt(0);
