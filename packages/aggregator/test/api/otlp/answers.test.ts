import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { type Message, protobufOf } from '../../../../../lab/otlp-protobuf.ts';
import { StoreError } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { Document } from '../../support/api-document.ts';
import { withKeys } from '../../support/keyed-server.ts';
import { withKey } from '../../support/keys.ts';
import { logsOf, postLogs, recordWith } from '../../support/otlp.ts';
import { askOddly } from '../../support/odd-query.ts';
import { TestServer, sharedServer } from '../../support/server.ts';

const PATH = '/v1/logs';

const service = sharedServer();

test('every answer to an export matches its schema in the document [SYS-4, OTLP-4]', async (t) => {
  const server = service();
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (response: Response): Promise<void> => {
    checked.add(await document.check('post', PATH, response));
  };
  const large = recordWith({ body: { stringValue: 'x'.repeat(LIMITS.eventBytesMax) } });
  for (const body of [
    logsOf('shop', [recordWith()]),
    logsOf('shop', [large]),
    { resourceLogs: 1 },
    logsOf(
      'shop',
      Array.from({ length: LIMITS.batchEventsMax + 1 }, () => ({})),
    ),
  ]) {
    await check(await postLogs(server, body));
    if (!('length' in body)) await check(await postLogs(server, protobufOf(body as Message)));
  }
  await check(await postLogs(server, Uint8Array.of(1)));
  await check(await askOddly(server, 'post', PATH, 'surprise=1'));
  await check(await postLogs(server, '{', { 'content-type': 'text/plain' }));

  const blocked = new MemoryStore();
  blocked.append = () => Promise.reject(new StoreError('blocked', 'no space'));
  const full = await TestServer.startOn(t, () => blocked);
  await check(await postLogs(full, logsOf('shop', [recordWith()])));

  const { server: guarded } = await withKeys(t, {
    reader: { scopes: ['read'] },
    slow: { scopes: ['publish'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  for (const key of ['nobody', 'reader', 'slow', 'slow']) {
    await check(await postLogs(guarded, {}, withKey(key)));
  }
  assert.deepEqual(
    [...checked].toSorted(),
    document
      .answers((path) => path === PATH)
      .map(({ status }) => `post ${PATH} ${status}`)
      .toSorted(),
  );
});
