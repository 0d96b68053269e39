import assert from 'node:assert/strict';
import type { TestServer } from './server.ts';

/** `POST /v1/logs`, as JSON unless it is bytes. */
export function postLogs(
  server: TestServer,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const isBytes = body instanceof Uint8Array;
  return fetch(`${server.url}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': isBytes ? 'application/x-protobuf' : 'application/json', ...headers },
    body: isBytes ? Buffer.from(body) : typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** A request with these records of one service, in the JSON encoding. */
export function logsOf(
  service: string | null,
  records: readonly object[],
  attributes: Readonly<Record<string, object>> = {},
): object {
  const named = service === null ? {} : { 'service.name': { stringValue: service } };
  const all = Object.entries({ ...named, ...attributes }).map(([key, value]) => ({ key, value }));
  return {
    resourceLogs: [
      { resource: { attributes: all }, scopeLogs: [{ scope: { name: 'test' }, logRecords: records }] },
    ],
  };
}

/** A valid record; the given members replace its own. */
export function recordWith(change: object = {}): object {
  return {
    timeUnixNano: '1544712660300000123',
    severityNumber: 9,
    body: { stringValue: 'order placed' },
    ...change,
  };
}

/** Asserts that all is well, and nothing is to be said. */
export async function assertTaken(response: Response): Promise<void> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const type = response.headers.get('content-type');
  assert.equal(text, type === 'application/json' ? '{}' : '');
}

interface Status {
  readonly code: number;
  readonly message: string;
  readonly details?: readonly {
    readonly fieldViolations: readonly { field: string; description: string }[];
  }[];
}

/** Asserts that the response is a refusal in JSON with this problem's code, and returns it. */
export async function statusIn(response: Response, status: number, code: string): Promise<Status> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.equal(response.headers.get('content-type'), 'application/json');
  const answer = JSON.parse(text) as Status;
  assert.ok(answer.message.startsWith(`${code}: `), text);
  return answer;
}
