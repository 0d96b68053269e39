/**
 * The JSON of a stored event: what the publisher sent, with `offset` and `received_at` as its last members. The sent
 * text is spliced, not parsed, so every digit stays as it came.
 */
export function storedEventJson(text: string, offset: number, receivedMs: number): string {
  return `${text.slice(0, -1)},"offset":${offset},"received_at":"${isoTime(receivedMs)}"}`;
}

let lastMs = 0;
let lastIso = '';

/** Neighbours were mostly committed together, so the last time answers most calls. */
function isoTime(ms: number): string {
  if (ms !== lastMs || lastIso === '') {
    lastMs = ms;
    lastIso = new Date(ms).toISOString();
  }
  return lastIso;
}
