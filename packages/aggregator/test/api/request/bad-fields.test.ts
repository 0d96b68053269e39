import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { sharedServer } from '../../support/server.ts';
import { FIELDS, eventText, VALID, type Fault, Refusals } from '../../support/refusals.ts';

const refusals = new Refusals(sharedServer());

test('a missing field is named [EVT-1, ERR-3, P-6]', async () => {
  for (const name of Object.keys(FIELDS)) {
    await refusals.event(eventText({ [name]: null }), [name, 'is missing']);
    await refusals.event(
      eventText({ [name]: null }, `"${name.toUpperCase()}":"x"`),
      [name.toUpperCase(), 'unknown field'],
      [name, 'is missing'],
    );
  }
  await refusals.event(
    eventText({ topic: null, payload: null }),
    ['topic', 'is missing'],
    ['payload', 'is missing'],
  );
  await refusals.event('{}', ...Object.keys(FIELDS).map((name): Fault => [name, 'is missing']));
});

test('a value of the wrong type is refused with the expected and the actual type [EVT-1, ERR-3, P-6]', async () => {
  const TYPES = {
    'a number': ['0', '-1.5e3', '9007199254740993'],
    null: ['null'],
    'a boolean': ['true', 'false'],
    'an array': ['[]', '["x"]'],
    'an object': ['{}', '{"topic":"x"}'],
    'a string': ['"x"'],
  };
  for (const name of Object.keys(FIELDS)) {
    const takes = name === 'payload' ? 'an object' : 'a string';
    for (const [found, texts] of Object.entries(TYPES)) {
      if (found === takes) continue;
      for (const text of texts) {
        await refusals.event(eventText({ [name]: text }), [name, `expected ${takes}, got ${found}`]);
      }
    }
  }
  for (const [found, texts] of Object.entries(TYPES)) {
    for (const text of texts) {
      if (found !== 'a string') {
        await refusals.event(eventText({ payload: `{"message":${text}}` }), [
          'payload.message',
          `expected a string, got ${found}`,
        ]);
        await refusals.event(eventText({ payload: `{"timestamp":${text}}` }), [
          'payload.timestamp',
          `expected a string, got ${found}`,
        ]);
      }
      if (found === 'an object') continue;
      await refusals.event(text, [null, `expected an event, got ${found}`]);
      if (found === 'an array') continue;
      await refusals.errors(text, [
        [null, null, `expected {"events":[…]}, an array of events or one event, got ${found}`],
      ]);
      await refusals.errors(`{"events":${text}}`, [
        [null, 'events', `expected an array of events, got ${found}`],
      ]);
    }
  }
  await refusals.errors(`{"events":{"0":${VALID}}}`, [
    [null, 'events', 'expected an array of events, got an object'],
  ]);
  await refusals.errors(`{"events":[[${VALID}]]}`, [[0, null, 'expected an event, got an array']]);
});

test('an unknown field is named [EVT-1, PUB-1, P-6]', async () => {
  for (const [json, name] of [
    ['level', 'level'],
    ['', ''],
    ['topic ', 'topic '],
    ['Topic', 'Topic'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['toString', 'toString'],
    ['offset', 'offset'],
    ['received_at', 'received_at'],
    ['events', 'events'],
    ['\\u0000', '\0'],
    ['a\\"b\\\\', 'a"b\\'],
    ['top\\u0131c', 'topıc'],
    ['😀'.repeat(100), `${'😀'.repeat(32)}…`],
  ] as const) {
    for (const value of ['1', '{"topic":{"a":[]}}', 'null']) {
      await refusals.event(eventText({}, `"${json}":${value}`), [name, 'unknown field']);
    }
  }
  // `events` allows no other member beside it, neither before nor after.
  await refusals.errors(`{"events":[${VALID}],"source":"web"}`, [[null, 'source', 'unknown field']]);
  await refusals.errors(`{"events":[],"__proto__":[]}`, [[null, '__proto__', 'unknown field']]);
  await refusals.errors(`{"version":1,"events":[]}`, [
    [0, 'version', 'unknown field'],
    [0, 'events', 'unknown field'],
    ...Object.keys(FIELDS).map((name): [number, ...Fault] => [0, name, 'is missing']),
  ]);
});

test('a repeated field is named, however it is escaped [EVT-1, EVT-5, P-6]', async () => {
  for (const [name, text] of Object.entries(FIELDS)) {
    await refusals.event(eventText({}, `"${name}":${text}`), [name, 'appears twice']);
    const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
    await refusals.event(eventText({}, `"${escaped}":${text}`), [name, 'appears twice']);
  }
  await refusals.errors('{"events":[],"events":[]}', [[null, 'events', 'appears twice']]);
  await refusals.errors(`{"events":[${VALID}],"\\u0065vents":[${VALID}]}`, [
    [null, 'events', 'appears twice'],
  ]);
});

test('a repeated name in an object of the payload is refused at any depth [EVT-5, P-6]', async () => {
  const wide = Array.from({ length: 200 }, (_, i) => `"m${i}":${i}`).join();
  for (const [payload, name] of [
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"":1,"b":2,"":3}', ''],
    ['{"x":{"y":[0,{"z":{"a":1,"b":2,"a":3}}]}}', 'a'],
    ['{"__proto__":{},"__proto__":{}}', '__proto__'],
    [`{${wide},"m0":0}`, 'm0'],
    [`{${wide},"m199":0}`, 'm199'],
    [`{"x":{${wide},"\\u006d7":0}}`, 'm7'],
    ['{"message":"a","message":"b"}', 'message'],
  ] as const) {
    await refusals.event(eventText({ payload }), [
      'payload',
      `the name "${name}" appears twice in one object`,
    ]);
  }
});

test('a string that is empty or too long is refused with its length in characters [EVT-2, P-6]', async () => {
  for (const [name, max] of [
    ['event_id', LIMITS.eventIdCharsMax],
    ['topic', LIMITS.topicCharsMax],
    ['source', LIMITS.sourceCharsMax],
    ['timestamp', LIMITS.timestampCharsMax],
  ] as const) {
    const expected = `expected 1 to ${max} characters, got`;
    await refusals.event(eventText({ [name]: '""' }), [name, `${expected} 0`]);
    for (const char of ['x', 'é', '漢', '😀', '\\n', '\\u0041', '\\ud83d\\ude00', ' ']) {
      await refusals.event(eventText({ [name]: `"${char.repeat(max + 1)}"` }), [
        name,
        `${expected} ${max + 1}`,
      ]);
    }
    await refusals.event(eventText({ [name]: `"${'x'.repeat(100_000)}"` }), [name, `${expected} 100000`]);
  }
});
