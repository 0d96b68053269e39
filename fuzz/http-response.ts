/** A response as it arrived; one without a length ends with its connection. */
export interface RawResponse {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface Received {
  readonly responses: readonly RawResponse[];
  /** The bytes after the last whole response. */
  readonly rest: Buffer;
  /** The last response is a `text/event-stream`, which never ends. */
  readonly isStreaming: boolean;
}

/** A response that no client could read. */
export class ResponseError extends Error {}

/**
 * Parses what a server sent, strictly enough to notice if a request managed to split a response in two. `methods` are
 * those of the requests, if they are known: an answer to HEAD has no body.
 */
export function readResponses(bytes: Buffer, methods: readonly string[] | null): Received {
  const responses: RawResponse[] = [];
  let at = 0;
  while (at < bytes.length) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd < 0) break;
    const { status, headers } = readHead(bytes.toString('latin1', at, headEnd));
    const bodyStart = headEnd + 4;
    if (status >= 100 && status < 200) {
      at = bodyStart;
      continue;
    }
    const header = (wanted: string): string | undefined => headers.find(([name]) => name === wanted)?.[1];
    if (header('content-type')?.startsWith('text/event-stream') === true) {
      responses.push({ status, headers, body: Buffer.alloc(0) });
      return { responses, rest: Buffer.alloc(0), isStreaming: true };
    }
    // The server answers what it cannot parse as if it were a GET.
    const isHead = methods?.[responses.length] === 'HEAD' && bytes[bodyStart] !== OPEN_BRACE;
    const isBodiless = isHead || status === 204 || status === 304;
    const found = isBodiless
      ? { body: Buffer.alloc(0), end: bodyStart }
      : header('transfer-encoding') === 'chunked'
        ? readChunked(bytes, bodyStart)
        : header('content-length') === undefined && header('connection') === 'close'
          ? { body: bytes.subarray(bodyStart), end: bytes.length }
          : readSized(bytes, bodyStart, header('content-length'));
    if (found === null) break;
    responses.push({ status, headers, body: found.body });
    at = found.end;
  }
  return { responses, rest: bytes.subarray(at), isStreaming: false };
}

const OPEN_BRACE = 0x7b;

function readHead(text: string): Pick<RawResponse, 'status' | 'headers'> {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(statusLine)?.[1];
  if (status === undefined) throw new ResponseError(`not a status line: ${JSON.stringify(statusLine)}`);
  const headers = lines.map((line) => {
    const match = /^([\w-]+): ([\t -~]*)$/.exec(line);
    if (match === null) throw new ResponseError(`not a header: ${JSON.stringify(line)}`);
    return [match[1]!.toLowerCase(), match[2]!] as const;
  });
  const names = headers.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new ResponseError(`the header ${twice} appears twice`);
  return { status: Number(status), headers };
}

function readSized(
  bytes: Buffer,
  start: number,
  length: string | undefined,
): { body: Buffer; end: number } | null {
  if (length === undefined || !/^\d+$/.test(length)) throw new ResponseError(`a body of length ${length}`);
  const end = start + Number(length);
  return end > bytes.length ? null : { body: bytes.subarray(start, end), end };
}

function readChunked(bytes: Buffer, start: number): { body: Buffer; end: number } | null {
  const pieces: Buffer[] = [];
  for (let at = start; ;) {
    const sizeEnd = bytes.indexOf('\r\n', at);
    if (sizeEnd < 0) return null;
    const size = bytes.toString('latin1', at, sizeEnd);
    if (!/^[\da-f]+$/i.test(size))
      throw new ResponseError(`a chunk of size ${JSON.stringify(size.slice(0, 100))}`);
    const pieceEnd = sizeEnd + 2 + parseInt(size, 16);
    if (pieceEnd + 2 > bytes.length) return null;
    pieces.push(bytes.subarray(sizeEnd + 2, pieceEnd));
    at = pieceEnd + 2;
    if (pieceEnd === sizeEnd + 2) return { body: Buffer.concat(pieces), end: at };
  }
}
