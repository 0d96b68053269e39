import type { TestServer } from './server.ts';

/** Bodies that the schemas of resources take, by how the path ends; of all others `{}` or none. */
const BODIES: readonly [end: string, body: object][] = [
  ['/publish', []],
  ['/ack', { lease_ids: ['x'] }],
  ['/nack', { lease_ids: ['x'] }],
  ['/extend', { lease_ids: ['x'] }],
  ['/seek', { offset: 1 }],
  ['/sources/{name}', { kind: 'generic', topic: 'x' }],
  ['/{name}', { topics: ['x'] }],
];

/** Asks a resource of the document, like `put /retention/{name}`, with this query and everything else right. */
export function askOddly(server: TestServer, method: string, path: string, query: string): Promise<Response> {
  const [, body = {}] = BODIES.find(([end]) => path.endsWith(end)) ?? [];
  const type = path.endsWith('/cloudevents') ? 'application/cloudevents+json' : 'application/json';
  const hasBody = ['post', 'put'].includes(method);
  return fetch(`${server.url}${path.replaceAll(/\{\w+\}/g, 'x')}?${query}`, {
    method: method.toUpperCase(),
    ...(hasBody && { headers: { 'content-type': type }, body: JSON.stringify(body) }),
  });
}
