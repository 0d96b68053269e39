import { Readable } from 'node:stream';

/**
 * Reads events with a `GET`, a line of JSON each, as they arrive. Throws if the answer is not 200 or is cut short.
 */
export async function* eventLines(
  url: string,
  path = '/events',
  headers: Readonly<Record<string, string>> = {},
): AsyncGenerator<string> {
  const response = await fetch(url + path, { headers: { ...headers, accept: 'application/x-ndjson' } });
  if (response.status !== 200 || response.body === null)
    throw new Error(`GET ${path} was answered with ${response.status}: ${await response.text()}`);
  yield* linesOf(Readable.fromWeb(response.body));
}

/** Does not use node:readline, which also ends a line at U+2028, a valid character in an event. */
async function* linesOf(body: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of body.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') throw new Error(`the answer ends amid a line: ${rest}`);
}
