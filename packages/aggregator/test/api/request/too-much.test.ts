import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { manyEvents } from '../../support/events.ts';
import { sharedServer } from '../../support/server.ts';
import { eventText, eventOfBytes, VALID, type Fault, Refusals } from '../../support/refusals.ts';

const refusals = new Refusals(sharedServer());

/** A check that is quadratic takes minutes, also where others use the machine. */
const TIMEOUT = { timeout: 120_000 };

test(
  'a payload nested too deep is refused, whether by one level or by a million [EVT-8, P-6]',
  TIMEOUT,
  async () => {
    const arrays = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    const objects = (depth: number) => '{"a":'.repeat(depth) + '0' + '}'.repeat(depth);
    const fault: Fault = ['payload', `is nested more than ${LIMITS.payloadDepthMax} deep`];
    await refusals.event(eventText({ payload: `{"a":${arrays(LIMITS.payloadDepthMax)}}` }), fault);
    await refusals.event(eventText({ payload: objects(LIMITS.payloadDepthMax + 1) }), fault);
    await refusals.event(eventText({ payload: `{"a":${arrays(1_000_000)}}` }), fault);
    await refusals.event(eventText({ payload: objects(1_000_000) }), fault);
    // Elsewhere the place is named, and the payload is not mentioned.
    const deep = arrays(LIMITS.payloadDepthMax + 1);
    const message = fault[1];
    for (const [body, index, field] of [
      [deep, 0, null],
      [`{"events":{"a":${deep}}}`, null, 'events'],
      [`{"events":[],"more":${deep}}`, null, 'more'],
      [`{"events":[${deep}]}`, 0, null],
      [`{"events":[${VALID},${deep}]}`, 1, null],
      [`{"more":${deep}}`, 0, 'more'],
      [`{"topic":${deep}}`, 0, 'topic'],
      [`{"payload":${deep}}`, 0, 'payload'],
    ] as const) {
      await refusals.errors(body, [[index, field, message]]);
    }
    // Never closed, so not valid JSON, but the depth is noticed first.
    for (const body of [
      '['.repeat(1_000_000),
      '{"events":'.repeat(500_000),
      `{"events":[${'['.repeat(1_000_000)}`,
      '{"a":'.repeat(1_000_000),
    ]) {
      await refusals.body(body, 422, 'invalid_event');
    }
  },
);

test(
  'an event that is too large is refused with its size, without counting whitespace [EVT-9, P-6]',
  TIMEOUT,
  async () => {
    const max = LIMITS.eventBytesMax;
    const tooLong = (bytes: number): Fault => [null, `is ${bytes} bytes long; the limit is ${max}`];
    await refusals.event(eventOfBytes(max + 1), tooLong(max + 1));
    await refusals.event(eventOfBytes(2 * max), tooLong(2 * max));
    await refusals.event(` {\n${' '.repeat(max)}${eventOfBytes(max + 1).slice(1)}`, tooLong(max + 1));
  },
);

test('objects with a million members are judged quickly [EVT-5, EVT-9, P-6]', TIMEOUT, async () => {
  const members = Array.from({ length: 1_000_000 }, (_, i) => `"${i}":0`).join();
  const payload = `{${members}}`;
  const length = eventText({ payload }).length;
  await refusals.errors(eventText({ payload }), [[0, null, `is ${length} bytes long; the limit is 1048576`]]);
  const equal = `{${'"a":0,'.repeat(199_999)}"a":0}`;
  await refusals.errors(eventText({ payload: equal }), [
    [0, 'payload', 'the name "a" appears twice in one object'],
    [0, null, `is ${eventText({ payload: equal }).length} bytes long; the limit is 1048576`],
  ]);
  const fields = `{${members}}`;
  const problem = await refusals.body(fields, 422, 'invalid_event');
  assert.equal(problem.errors?.length, LIMITS.problemErrorsMax);
  assert.match(problem.detail, /^event 0, 0: unknown field \(the first of 1000006 errors\)/);
});

test('a fault in the last of many events refuses all of them [P-3, P-6, ERR-2, ERR-3]', async () => {
  const good = manyEvents(20_000).map((event) => JSON.stringify(event));
  const batch = (last: string) => `{"events":[${good.join()},${last}`;
  const at = batch('').length;
  const rows: [tail: string, detail: string][] = [
    [
      `${VALID.replace('"web"', 'web')}]}`,
      `expected a value, but found "w" at byte ${at + VALID.indexOf('"web"')}`,
    ],
    [`${VALID}]`, `expected "," or "}", but the text ends at byte ${at + VALID.length + 1}`],
    [`${VALID}]}]`, `expected the end of the body, but found "]" at byte ${at + VALID.length + 2}`],
  ];
  for (const [tail, detail] of rows) {
    assert.equal((await refusals.body(batch(tail), 400, 'invalid_json')).detail, detail);
  }
  await refusals.errors(batch(`${eventText({ source: null })}]}`), [[20_000, 'source', 'is missing']]);
  await refusals.errors(batch(`${VALID}],"more":1}`), [[null, 'more', 'unknown field']]);
});

test('of many faults the first hundred are listed, and all are counted [ERR-3, P-6]', async () => {
  const bad = Array.from({ length: 5000 }, (_, i) =>
    i % 2 === 0 ? VALID : eventText({ topic: '7', source: null }),
  );
  const problem = await refusals.body(`{"events":[${bad.join()}]}`, 422, 'invalid_event');
  assert.deepEqual(
    problem.errors,
    Array.from({ length: 100 }, (_, i) => ({
      index: Math.floor(i / 2) * 2 + 1,
      field: i % 2 === 0 ? 'topic' : 'source',
      message: i % 2 === 0 ? 'expected a string, got a number' : 'is missing',
    })),
  );
  assert.match(problem.detail, /\(the first of 5000 errors\)/);
});
