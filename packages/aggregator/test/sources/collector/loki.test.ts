import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopicTemplate } from '../../../src/event/topic-template.ts';
import { lokiEventsOf, readPush } from '../../../src/sources/collector/loki.ts';
import { partsOfEach } from '../../support/batch-parts.ts';

const RULES = { topic: new TopicTemplate('logs.{service_name}'), sender: 'nobody', bytesMax: Infinity };

function push(body: string) {
  const read = readPush(Buffer.from(body));
  if (read.kind !== 'read') return read;
  const work = lokiEventsOf(read.records, RULES);
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function eventsIn(body: string) {
  const made = push(body);
  assert.ok(made.kind === 'batch', JSON.stringify(made));
  return partsOfEach(made.batch);
}

test('a line of a push becomes an event with its labels, and is known by all of it [COL-9]', () => {
  const body =
    '{"streams":[{"stream":{"app":"sh op","host":"a"},"values":[["1761645600123456789","line \\"1\\" å",{"trace":"x"}],' +
    '["1761645600123456789","same"],["1761645600123456789","same"]]},{"values":[["0","bare"]],"stream":{}}],"more":1}';
  const events = eventsIn(body);
  assert.deepEqual(
    events.map(({ topic, source, timestamp, payload }) => ({ topic, source, timestamp, payload })),
    [
      {
        topic: 'logs.sh_op',
        source: 'a',
        timestamp: '2025-10-28T10:00:00.123456789Z',
        payload: '{"body":"line \\"1\\" å","labels":{"app":"sh op","host":"a"},"metadata":{"trace":"x"}}',
      },
      ...[1, 2].map(() => ({
        topic: 'logs.sh_op',
        source: 'a',
        timestamp: '2025-10-28T10:00:00.123456789Z',
        payload: '{"body":"same","labels":{"app":"sh op","host":"a"}}',
      })),
      {
        topic: 'logs.unknown',
        source: 'nobody',
        timestamp: '1970-01-01T00:00:00.000000000Z',
        payload: '{"body":"bare","labels":{}}',
      },
    ],
  );
  assert.equal(new Set(events.map(({ id }) => id)).size, 4);
  assert.equal(events[2]!.id, `${events[1]!.id}-2`);
  assert.deepEqual(eventsIn(body), events);
  assert.deepEqual(eventsIn('{"streams":[]}'), []);
  const elsewhere = eventsIn(body.replace('"host":"a"', '"host":"b"'));
  assert.notEqual(elsewhere[1]!.id, events[1]!.id);
});

test('what is no push is refused by its place [COL-9]', () => {
  const made = push(
    '{"streams":[{"stream":{"a":1},"values":[]},{"stream":{}},{"stream":[],"values":{}},{"stream":{},"values":' +
      '[["1","x"],["now","x"],[1,"x"],["1"],["1","x",{"a":2}],["1","x",{},1],"1"]}]}',
  );
  assert.ok(made.kind === 'invalid');
  assert.deepEqual(
    made.errors.map(({ field }) => field),
    [
      'streams[0].stream',
      'streams[1].values',
      'streams[2].stream',
      'streams[2].values',
      ...[1, 2, 3, 4, 5, 6].map((n) => `streams[3].values[${n}]`),
    ],
  );
  assert.equal(push('{"labels":1}').kind, 'invalid');
  assert.equal(push('{"streams":[1]}').kind, 'invalid');
  assert.equal(push('{"streams":[').kind, 'not_json');
});

test('labels and lines that are too long for an event are refused before their values take memory [COL-9]', () => {
  const many = `[${'[],'.repeat(1_100_000)}[]]`;
  const parse = JSON.parse;
  let longest = 0;
  JSON.parse = (text: string): unknown => {
    longest = Math.max(longest, text.length);
    return parse(text);
  };
  try {
    const line = push(`{"streams":[{"stream":{},"values":[["1","x"],${many}]}]}`);
    assert.ok(line.kind === 'invalid');
    assert.deepEqual(
      line.errors.map(({ field }) => field),
      ['streams[0].values[1]'],
    );
    assert.ok(push(`{"streams":[{"stream":${many},"values":[]}]}`).kind === 'invalid');
    assert.throws(() => push(`{"streams":[{"stream":{},"values":${many}}]}`), /at most 100000 records/);
  } finally {
    JSON.parse = parse;
  }
  assert.ok(longest <= 10, String(longest));
});
