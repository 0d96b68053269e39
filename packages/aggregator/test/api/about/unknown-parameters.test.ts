import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Document } from '../../support/api-document.ts';
import { booksOf } from '../../support/books.ts';
import { askOddly } from '../../support/odd-query.ts';
import { statusIn } from '../../support/otlp.ts';
import { problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

/** What is said of each field. OTLP says it in its own form. */
async function faultsIn(path: string, answer: Response): Promise<Map<string | null, string>> {
  if (path === '/v1/logs') {
    const { details } = await statusIn(answer, 422, 'invalid_parameter');
    return new Map(details![0]!.fieldViolations.map(({ field, description }) => [field, description]));
  }
  const { errors = [] } = await problemIn(answer, 422, 'invalid_parameter');
  return new Map(errors.map(({ field, message }) => [field, message]));
}

/** Balancers ask these, with whatever query they like. */
const OPEN = new Set(['/', '/health', '/ready']);

test('every resource refuses a parameter that it does not know, and says which it takes [ERR-4, P-6]', async () => {
  const server = service();
  const before = await booksOf(server);
  const { json } = await Document.of(server);
  // What a source sends is its own affair [SRC-8].
  const paths = Object.entries(json.paths).filter(([path]) => path !== '/in/{name}');
  const operations = paths.flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [] }]) => {
      const known = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
      return { method, path, known };
    }),
  );
  assert.ok(operations.length >= 28);
  for (const { method, path, known } of operations) {
    const name = `${method} ${path}`;
    const answer = await askOddly(server, method, path, 'surprise=1');
    if (OPEN.has(path)) {
      assert.equal(answer.status, 200, name);
      continue;
    }
    const faults = await faultsIn(path, answer).catch((cause: unknown) => {
      throw new Error(name, { cause });
    });
    const takes = known.length === 0 ? 'none' : known.join(', ');
    const message = `unknown parameter: this takes ${takes}`;
    assert.equal(faults.get('surprise'), message, name);
    if (method !== 'get') continue;
    const head = await askOddly(server, 'head', path, 'surprise=1');
    assert.equal(head.status, 422, name);
  }
  assert.deepEqual(await booksOf(server), before);
});
