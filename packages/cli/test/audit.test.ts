import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { eventWith, manyEvents } from '../../aggregator/test/support/events.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { commandLine, ok } from './support/command-line.ts';

test('audit prints the trail for people and for programs, page by page, and its counts [AUD-6] [AUD-7]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore(), { AUDIT: 'true' });
  const { url } = server;
  await server.publish(...manyEvents(1001, () => ({ topic: 'many' })));
  await server.publish(eventWith({ event_id: 'a\u0007b' }), eventWith({ event_id: 'a\u0007b' }));
  const audit = (...args: string[]) => ok(commandLine(['audit', '--url', url, ...args]));
  const { lines } = await audit('--topic', 'orders', '--action', 'dropped');
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^2\S+Z dropped orders a\\u0007b @1002$/);
  const started = await audit('--action=started');
  assert.match(started.lines[0]!, /^2\S+Z started version=\d/);
  const json = await audit('--json', '--action=accepted', '--limit=1002');
  const offsets = json.lines.map((line) => (JSON.parse(line) as { offset: number }).offset);
  assert.deepEqual(offsets, Array.from({ length: 1002 }, (_, i) => 1002 - i)); // prettier-ignore
  const summary = await audit('--summary');
  assert.deepEqual(summary.lines, ['accepted  1002', 'dropped      1', 'started      1']);
  const byDay = await audit('--summary', '--by=day');
  assert.match(byDay.lines[0]!, /^FROM +ACCEPTED +DROPPED +STARTED$/);
  const refused = await commandLine(['audit', '--url', url, '--event-id=e-1']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /together with its topic/);
});
