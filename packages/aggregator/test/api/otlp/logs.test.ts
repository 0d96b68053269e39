import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { LIMITS } from '@chronicleweaver/protocol';
import { type Message, protobufOf } from '../../../../../lab/otlp-protobuf.ts';
import { withKeys } from '../../support/keyed-server.ts';
import { withKey } from '../../support/keys.ts';
import { scraped } from '../../support/metrics.ts';
import { assertTaken, logsOf, postLogs, recordWith, statusIn } from '../../support/otlp.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

test('a record becomes an event that people can read, and a retry is a duplicate [OTLP-2, OTLP-6, OTLP-7, OTLP-8]', async () => {
  const server = service();
  const record = {
    timeUnixNano: '1544712660300000123',
    observedTimeUnixNano: '1544712660400000000',
    severityNumber: 10,
    severityText: 'Information',
    eventName: 'order.placed',
    body: { kvlistValue: { values: [{ key: 'total', value: { doubleValue: 12 } }] } },
    attributes: [
      { key: 'count', value: { intValue: '9223372036854775807' } },
      { key: 'ratio', value: { doubleValue: 0.1 } },
      { key: 'raw', value: { bytesValue: 'AP8=' } },
      { key: 'tags', value: { arrayValue: { values: [{ stringValue: 'ü' }, { boolValue: true }, {}] } } },
    ],
    droppedAttributesCount: 2,
    flags: 1,
    traceId: '5B8EFFF798038103D269B633813FC60C',
    spanId: 'EEE19B7EC3C1B174',
  };
  const request = logsOf('shop', [record], { 'service.instance.id': { stringValue: 'shop-1' } });
  await assertTaken(await postLogs(server, request));
  await assertTaken(await postLogs(server, request));
  const response = await fetch(`${server.url}/events?topic=logs.shop`);
  const text = await response.text();
  assert.match(text, /"count":1,/);
  assert.ok(
    text.includes(
      '"topic":"logs.shop","source":"shop-1","payload":{"severity":"Information","severity_number":10,' +
        '"event_name":"order.placed","body":{"total":12.0},"attributes":{"count":9223372036854775807,"ratio":0.1,' +
        '"raw":"AP8=","tags":["ü",true,null]},"dropped_attributes_count":2,' +
        '"trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174","flags":1,' +
        '"scope":{"name":"test"},"resource":{"service.name":"shop","service.instance.id":"shop-1"}},' +
        '"timestamp":"2018-12-13T14:51:00.300000123Z"',
    ),
    text,
  );
});

test('equal lines at different times are two events, and so are equal records of one request [OTLP-6]', async () => {
  const server = service();
  const later = recordWith({ timeUnixNano: '1544712660300000124' });
  const request = logsOf('lines', [recordWith(), later, recordWith()]);
  await assertTaken(await postLogs(server, request));
  await assertTaken(await postLogs(server, request));
  const { events } = await server.events('?topic=logs.lines');
  assert.equal(events.length, 3);
  assert.equal(events[2]!.event_id, `${events[0]!.event_id}-2`);
});

test('both encodings of a record are the same record, whichever comes first [OTLP-1, OTLP-6]', async () => {
  const server = service();
  const request = logsOf('both', [
    recordWith({
      body: { arrayValue: { values: [{ intValue: '-9223372036854775808' }, { doubleValue: '-0' }, {}] } },
      attributes: [
        { key: 'map', value: { kvlistValue: { values: [{ key: 'a"\n', value: { doubleValue: 1e300 } }] } } },
        { key: 'raw', value: { bytesValue: 'AP8=' } },
        { key: 'nan', value: { doubleValue: 'NaN' } },
      ],
      traceId: '5b8efff798038103d269b633813fc60c',
      spanId: '0000000000000000',
    }),
    recordWith({ body: undefined }),
  ]);
  await assertTaken(await postLogs(server, protobufOf(request as Message)));
  await assertTaken(await postLogs(server, request));
  await assertTaken(await postLogs(server, protobufOf(request as Message)));
  const { events } = await server.events('?topic=logs.both');
  assert.equal(events.length, 2);
  assert.deepEqual(Object.keys(events[1]!.payload), ['severity', 'severity_number', 'scope', 'resource']);
  assert.equal((await server.stats()).conflicts, 0);
});

test('each name and coding of a request is understood, and the answer has its name [OTLP-1]', async () => {
  const server = service();
  const request = logsOf('names', [recordWith()]);
  const json = Buffer.from(JSON.stringify(request));
  const protobuf = Buffer.from(protobufOf(request as Message));
  const codings = {
    identity: (body: Buffer) => body,
    gzip: gzipSync,
    br: brotliCompressSync,
    zstd: zstdCompressSync,
  };
  for (const [coding, pack] of Object.entries(codings)) {
    for (const [type, body] of [
      ['application/json', json],
      ['application/json; charset=utf-8', json],
      ['application/x-protobuf', protobuf],
      ['application/protobuf', protobuf],
    ] as const) {
      const headers = { 'content-type': type, 'content-encoding': coding };
      const response = await postLogs(server, Uint8Array.from(pack(body)), headers);
      assert.equal(response.headers.get('content-type'), type.split(';')[0], `${type} ${coding}`);
      await assertTaken(response);
    }
  }
  assert.equal((await server.events('?topic=logs.names')).count, 1);
  const snappy = await postLogs(server, request, { 'content-encoding': 'snappy' });
  await statusIn(snappy, 415, 'unsupported_media_type');
  const latin = await postLogs(server, json, { 'content-type': 'application/json; charset=latin1' });
  await statusIn(latin, 415, 'unsupported_media_type');
  const text = await postLogs(server, request, { 'content-type': 'text/plain' });
  await statusIn(text, 415, 'unsupported_media_type');
  const broken = await postLogs(server, request, { 'content-encoding': 'gzip' });
  await statusIn(broken, 400, 'invalid_encoding');
});

test('a request without records is taken [OTLP-2]', async () => {
  const server = service();
  const empty = logsOf('empty', []);
  for (const body of [
    {},
    '',
    empty,
    { resourceLogs: null },
    new Uint8Array(0),
    protobufOf(empty as Message),
  ]) {
    await assertTaken(await postLogs(server, body));
  }
});

test('what JSON allows to be written in several ways is understood in each, and unknown names are passed over [OTLP-5]', async () => {
  const server = service();
  const written = [
    recordWith(),
    recordWith({ timeUnixNano: '1544712660300000123', unknown: { deep: [[{}]] }, traceId: null, flags: 0 }),
    recordWith({ severityNumber: '9', attributes: null, body: { stringValue: 'order placed', kindOf: 'x' } }),
  ];
  for (const record of written) await assertTaken(await postLogs(server, logsOf('json', [record])));
  const digits = JSON.stringify(logsOf('json', [recordWith()])).replace(
    '"1544712660300000123"',
    '1544712660300000123',
  );
  await assertTaken(await postLogs(server, digits));
  assert.equal((await server.events('?topic=logs.json')).count, 1);
});

test('text that no UTF-8 can be becomes U+FFFD in either encoding, instead of a lost record [OTLP-5, EVT-4]', async () => {
  const server = service();
  const half = logsOf('half', [recordWith({ body: { stringValue: 'a\ud800b' } })]);
  await assertTaken(await postLogs(server, half));
  const protobuf = Buffer.from(
    protobufOf(logsOf('half', [recordWith({ body: { stringValue: 'aXXXb' } })]) as Message),
  );
  // Bytes that begin no character, one by one.
  await assertTaken(await postLogs(server, Buffer.from(protobuf.toString('latin1').replace('XXX', '\xff\xfe\xff'), 'latin1'))); // prettier-ignore
  const { events } = await server.events('?topic=logs.half');
  assert.deepEqual(
    events.map(({ payload }) => payload['body']),
    ['a\ufffdb', 'a\ufffd\ufffd\ufffdb'],
  );
});

const UNREADABLE: readonly [what: string, record: object, field: string, message: RegExp][] = [
  [
    'a name in place of a number',
    { severityNumber: 'INFO' },
    'severityNumber',
    /^expected a whole number from/,
  ],
  [
    'a time before 1970',
    { timeUnixNano: '-1' },
    'timeUnixNano',
    /^expected a whole number of nanoseconds from 0/,
  ],
  [
    'an id in base64',
    { traceId: 'W47/95gDgQPSabYzgT/GDA==' },
    'traceId',
    /^expected hexadecimal digits, got "W4/,
  ],
  ['a body that is no value', { body: 'text' }, 'body', /^expected an object, got a string/],
  [
    'a number with a fraction',
    { body: { intValue: 1.5 } },
    'body.intValue',
    /^expected a whole number, got "1.5"/,
  ],
  ['bytes that are not base64', { body: { bytesValue: '?' } }, 'body.bytesValue', /^expected base64/],
  ['attributes as a map', { attributes: { a: 1 } }, 'attributes', /^expected an array, got an object/],
];

for (const [what, change, field, message] of UNREADABLE) {
  test(`a request that cannot be read is refused with the place that is at fault: ${what} [OTLP-4, OTLP-5, P-6]`, async () => {
    const server = service();
    const bad = logsOf('bad', [recordWith(), recordWith(change)]);
    const status = await statusIn(await postLogs(server, bad), 400, 'invalid_otlp');
    assert.equal(status.code, 3);
    const [violation] = status.details![0]!.fieldViolations;
    assert.equal(violation!.field, `resourceLogs[0].scopeLogs[0].logRecords[1].${field}`);
    assert.match(violation!.description, message);
    assert.equal((await server.events('?topic=logs.bad')).count, 0);
  });
}

test('bodies that are neither JSON nor protobuf are refused in their own encoding [OTLP-4]', async () => {
  const server = service();
  await statusIn(await postLogs(server, '{"resourceLogs":[{'), 400, 'invalid_json');
  await statusIn(await postLogs(server, Buffer.from('{"\xff":1}', 'latin1'), { 'content-type': 'application/json' }), 400, 'invalid_encoding'); // prettier-ignore
  const whole = protobufOf(logsOf('cut', [recordWith()]) as Message);
  for (let length = 1; length < whole.length; length++) {
    const response = await postLogs(server, whole.subarray(0, length));
    assert.equal(response.status, 400);
    assert.equal(response.headers.get('content-type'), 'application/x-protobuf');
    const bytes = Buffer.from(await response.arrayBuffer());
    // code = 3, then the message.
    assert.deepEqual([...bytes.subarray(0, 3)], [0x08, 3, 0x12]);
    assert.match(bytes.toString(), /invalid_otlp: the body is not an ExportLogsServiceRequest in protobuf: /);
    assert.match(bytes.toString(), /type\.googleapis\.com\/google\.rpc\.BadRequest/);
  }
  assert.equal((await server.events('?topic=logs.cut')).count, 0);
});

test('a field that is longer than the message around it is refused, although the body has the bytes [OTLP-4]', async () => {
  const server = service();
  const good = protobufOf(logsOf('longer', [recordWith()]) as Message);
  // A resource_logs of two bytes, in which a scope_logs of two bytes begins.
  const lies = Uint8Array.of(0x0a, 2, 0x12, 2, ...good);
  const answer = await postLogs(server, lies);
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /a field is longer than the message around it/);
  assert.equal((await server.events('?topic=logs.longer')).count, 0);
});

test('values that nest too deep, too many records and too many bytes are refused, and deep ones are taken [OTLP-9]', async () => {
  const server = service();
  const nested = (depth: number): object =>
    Array.from({ length: depth }).reduce<object>((value) => ({ arrayValue: { values: [value] } }), {
      stringValue: 'in',
    });
  for (const encode of [(one: object) => one, (one: object) => protobufOf(one as Message)]) {
    await assertTaken(await postLogs(server, encode(logsOf('deep', [recordWith({ body: nested(97) })]))));
    const deep = await postLogs(server, encode(logsOf('deep', [recordWith({ body: nested(98) })])));
    assert.equal(deep.status, 400);
    assert.match(await deep.text(), /nested more than 97 deep/);
    const many = Array.from({ length: LIMITS.batchEventsMax + 1 }, () => ({}));
    const crowd = await postLogs(server, encode(logsOf('crowd', many)));
    assert.equal(crowd.status, 413);
    assert.match(await crowd.text(), /batch_too_large: a request takes at most 100000 records/);
    const large = { large: { stringValue: 'x'.repeat(100_000) } };
    const wide = await postLogs(server, encode(logsOf('wide', many.slice(0, 1000), large)));
    assert.equal(wide.status, 413);
    assert.match(await wide.text(), /batch_too_large: each event holds its resource/);
  }
  await statusIn(await postLogs(server, ' '.repeat(17 * 1024 * 1024)), 413, 'body_too_large');
  assert.equal((await server.events('?topic=logs.deep')).count, 1);
  assert.equal((await server.get<{ queued_bytes: number }>('/stats')).queued_bytes, 0);
});

test('a record that is too large is refused alone, and the answer says so and a metric counts it [OTLP-3, MET-3]', async () => {
  const server = service();
  const large = recordWith({ body: { stringValue: 'x'.repeat(LIMITS.eventBytesMax) } });
  const request = logsOf('large', [recordWith(), large, large]);
  const response = await postLogs(server, request);
  assert.equal(response.status, 200);
  const { partialSuccess } = (await response.json()) as { partialSuccess: Record<string, string> };
  assert.equal(partialSuccess['rejectedLogRecords'], '2');
  assert.match(partialSuccess['errorMessage']!, /^2 records were not stored: .* 1048576 bytes$/);
  const protobuf = await postLogs(server, protobufOf(request as Message));
  const bytes = Buffer.from(await protobuf.arrayBuffer());
  // partial_success = 1, of which rejected_log_records = 1 and error_message = 2.
  assert.deepEqual([bytes[0], ...bytes.subarray(2, 5)], [0x0a, 0x08, 2, 0x12]);
  assert.ok(bytes.toString().includes(partialSuccess['errorMessage']!));
  assert.equal((await server.events('?topic=logs.large')).count, 1);
  const { series } = await scraped(server.url);
  assert.equal(series.get('chronicleweaver_refused_log_records_total{code="invalid_event"}'), 4);
});

test('a record with a known id and other content is dropped with a warning, not rejected [OTLP-3, OTLP-6, PUB-6]', async () => {
  const server = service();
  const named = (text: string): object =>
    logsOf('uid', [
      recordWith({
        body: { stringValue: text },
        attributes: [{ key: 'log.record.uid', value: { stringValue: '01ARZ3NDEKTSV4RRFFQ69G5FAV' } }],
      }),
    ]);
  await assertTaken(await postLogs(server, named('one')));
  await assertTaken(await postLogs(server, named('one')));
  const response = await postLogs(server, named('two'));
  assert.deepEqual(await response.json(), {
    partialSuccess: {
      rejectedLogRecords: '0',
      errorMessage: '1 record was dropped: a record with this id and other content is already stored',
    },
  });
  const { events } = await server.events('?topic=logs.uid');
  assert.deepEqual(
    events.map(({ event_id: id, payload }) => [id, payload['body']]),
    [['01ARZ3NDEKTSV4RRFFQ69G5FAV', 'one']],
  );
});

test('topics and ids are named as the settings say [OTLP-6, OTLP-7]', async (t) => {
  const server = await TestServer.start(t, {
    OTLP_TOPIC: '{deployment.environment.name}.{service.name}',
    OTLP_ID_ATTRIBUTE: 'id',
  });
  const withId = (value: object): object => recordWith({ attributes: [{ key: 'id', value }] });
  const records = [
    withId({ intValue: 7 }),
    withId({ stringValue: '' }),
    withId({ stringValue: 'x'.repeat(513) }),
    withId({ boolValue: true }),
    recordWith({ timeUnixNano: 0, observedTimeUnixNano: 1 }),
    recordWith({ timeUnixNano: 0, severityNumber: 24, severityText: '' }),
  ];
  await assertTaken(await postLogs(server, logsOf('a b*\n>ü', records)));
  await assertTaken(await postLogs(server, logsOf(null, records.slice(0, 1), { 'deployment.environment.name': { stringValue: 'prod' } }))); // prettier-ignore
  const { events } = await server.events();
  assert.deepEqual(
    events.map(({ topic, source, timestamp }) => [topic, source, timestamp]),
    [
      ...Array.from({ length: 4 }, () => ['unknown.a_b___ü', 'a b*\n>ü', '2018-12-13T14:51:00.300000123Z']),
      ['unknown.a_b___ü', 'a b*\n>ü', '1970-01-01T00:00:00.000000001Z'],
      ['unknown.a_b___ü', 'a b*\n>ü', '1970-01-01T00:00:00.000000000Z'],
      ['prod.unknown_service', 'unknown_service', '2018-12-13T14:51:00.300000123Z'],
    ],
  );
  assert.equal(events[0]!.event_id, '7');
  assert.ok(events.slice(1, 6).every(({ event_id: id }) => /^[\w-]{32}$/.test(id)));
  assert.equal(events[5]!.payload['severity'], 'FATAL4');
});

test('a digest is the same in every version [OTLP-6]', async () => {
  const server = service();
  await assertTaken(await postLogs(server, logsOf('digest', [recordWith()])));
  const { events } = await server.events('?topic=logs.digest');
  assert.equal(events[0]!.event_id, 'jmtpStWA3yb3iHotSu9wMPASSOIKiFy4');
});

test('keys are asked for, with their topics and rates, and refusals are statuses [OTLP-3, OTLP-4, KEY-2, KEY-3, KEY-5, KEY-7]', async (t) => {
  const { server } = await withKeys(t, {
    shop: { scopes: ['publish'], topics: ['logs.shop'] },
    reader: { scopes: ['read'] },
    slow: { scopes: ['publish'], rate_limit: { events_per_second: 0.5, burst: 1 } },
  });
  const one = logsOf('shop', [recordWith()]);
  const unknown = await postLogs(server, one);
  assert.equal(unknown.headers.get('www-authenticate'), 'Bearer realm="ChronicleWeaver"');
  assert.equal((await statusIn(unknown, 401, 'unauthorized')).code, 16);
  await statusIn(await postLogs(server, one, withKey('reader')), 403, 'forbidden');
  await assertTaken(await postLogs(server, one, withKey('slow')));
  const late = await postLogs(server, one, withKey('slow'));
  assert.match(late.headers.get('retry-after') ?? '', /^[12]$/);
  await statusIn(late, 429, 'rate_limited');

  const other = logsOf('bank', [recordWith(), recordWith()]);
  const both = {
    resourceLogs: [one, other].flatMap((all) => (all as { resourceLogs: object[] }).resourceLogs),
  };
  const partly = await postLogs(server, both, withKey('shop'));
  assert.equal(partly.status, 200);
  assert.deepEqual(await partly.json(), {
    partialSuccess: {
      rejectedLogRecords: '2',
      errorMessage: '2 records were not stored: the key may not use the topic "logs.bank"',
    },
  });
  await statusIn(await postLogs(server, other, withKey('shop')), 403, 'forbidden_topic');
  const reader = await fetch(`${server.url}/events`, { headers: withKey('reader') });
  assert.equal(((await reader.json()) as { count: number }).count, 1);
});

test('what does not fit gets 503 with Retry-After, and so does a body that comes too slowly [OTLP-4, OTLP-9]', async (t) => {
  const server = await TestServer.start(t, {}, { bodyPauseMs: 50 });
  const headers = { 'content-type': 'application/json', 'content-length': '9' };
  const [late] = await exchange(server.url, requestText('POST /v1/logs', headers, '{'));
  assert.equal(late!.headers.get('retry-after'), '1');
  assert.equal((await statusIn(late!, 503, 'request_timeout')).code, 14);
  const other = await fetch(`${server.url}/v1/logs`);
  assert.equal(other.headers.get('allow'), 'POST');
  await problemIn(other, 405, 'method_not_allowed');
});
