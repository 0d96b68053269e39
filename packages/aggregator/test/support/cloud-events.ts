import type { PublishAnswer } from '@chronicleweaver/protocol';
import type { TestServer } from './server.ts';
import { answerIn } from './publishing.ts';

/** A valid CloudEvent; the given members replace its own. */
export function cloudEventWith(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    specversion: '1.0',
    id: '1',
    source: '/shop',
    type: 'orders.placed',
    time: '2025-10-28T10:00:00Z',
    datacontenttype: 'application/json',
    data: { amount: 12.5 },
    ...change,
  };
}

interface Sending {
  readonly path?: string;
  readonly headers?: Record<string, string>;
}

type Body = string | Uint8Array<ArrayBuffer>;

function post(server: TestServer, body: Body, { path = '/publish', headers = {} }: Sending) {
  return fetch(server.url + path, { method: 'POST', headers, body });
}

/** Sends JSON in structured mode; an array as a batch. A string is sent as it is. */
export function sendStructured(
  server: TestServer,
  event: unknown,
  { path, headers }: Sending = {},
): Promise<Response> {
  const type = `application/cloudevents${Array.isArray(event) ? '-batch' : ''}+json`;
  const body = typeof event === 'string' ? event : JSON.stringify(event);
  return post(server, body, { ...(path && { path }), headers: { 'content-type': type, ...headers } });
}

/** Sends an event in binary mode. Attributes that are not given are left out. */
export function sendBinary(
  server: TestServer,
  attributes: Record<string, string>,
  body: Body,
  { path, headers }: Sending = {},
): Promise<Response> {
  const named = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]);
  return post(server, body, {
    ...(path && { path }),
    headers: { ...(Object.fromEntries(named) as Record<string, string>), ...headers },
  });
}

export async function verdictOf(response: Promise<Response>): Promise<string> {
  const { accepted, duplicates, conflicts }: PublishAnswer = await answerIn(await response);
  return `${accepted} ${duplicates} ${conflicts}`;
}
