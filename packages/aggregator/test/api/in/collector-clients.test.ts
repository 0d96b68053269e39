import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { textOf } from '../../../../../lab/repository.ts';
import { cutting, defineAsIn, ran } from '../../support/collecting.ts';
import { sharedServer } from '../../support/server.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

/** Clients of others, unmodified, as the examples use them. Each is cut off, and sends again. */

const service = sharedServer();

async function booksOf(topic: string) {
  const { events } = await service().events(`?topic=${topic}`);
  return events.map(({ payload }) => payload['body'] as Record<string, unknown>);
}

test('curl sends a file of lines again after each cut, and each line is stored once [COL-2, P-2]', async (t) => {
  const server = service();
  const example = 'examples/curl/send.sh';
  await defineAsIn(server, example, textOf(example));
  const proxy = await cutting(t, server, '/in/curl', 'after', 'before');
  const file = join(tempFolder(t), 'events.ndjson');
  const lines = Array.from({ length: 50 }, (_, n) => JSON.stringify({ time: 1_761_645_600 + n, n }));
  writeFileSync(file, lines.join('\n'));
  const said = await ran(t, 'sh', [example, file], { CHRONICLEWEAVER_URL: `http://127.0.0.1:${proxy.port}` });
  assert.match(said, /"duplicates":50/);
  assert.equal(proxy.done, 2);
  assert.deepEqual(
    (await booksOf('logs.curl')).map(({ n }) => n),
    lines.map((_, n) => n),
  );
});

for (const [name, cuts] of [
  ['winston', ['after', 'before', 'after']],
  ['pino', ['after', 'before']],
] as const) {
  test(`what ${name} logs is stored once, however often its connection is cut [COL-2, P-2]`, async (t) => {
    const server = service();
    const example = `examples/${name}/log.js`;
    await defineAsIn(server, example, textOf(example));
    const proxy = await cutting(t, server, `/in/${name}`, ...cuts);
    await ran(t, process.execPath, [example], { CHRONICLEWEAVER_URL: `http://127.0.0.1:${proxy.port}` });
    assert.equal(proxy.done, cuts.length);
    const logged = (await booksOf(`logs.${name}`)).map(({ n }) => Number(n));
    assert.deepEqual(
      logged.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
  });
}

/** Requests as they are sent by the clients that do not run here, by their documentation and their sources. */
const BODIES: Readonly<Record<string, { body: string; type: string; topic: string }>> = {
  // format json_lines with json_date_format iso8601; double is the default.
  'fluent-bit/fluent-bit.yaml': {
    type: 'application/x-ndjson',
    body: '{"date":"2025-10-28T10:00:00.123456Z","log":"one","id":"1-1"}\n{"date":1761645600.123456,"log":"two","id":"1-2"}\n',
    topic: 'logs.fluent-bit',
  },
  'vector/vector.yaml': {
    type: 'application/x-ndjson',
    body: '{"file":"/var/log/a.log","host":"box","id":"1","message":"one","timestamp":"2025-10-28T10:00:00.123456789Z"}\n{"id":"2","service":"vector","timestamp":"2025-10-28T10:00:01Z"}\n',
    topic: 'logs.vector',
  },
  'logstash/logstash.conf': {
    type: 'application/json',
    body: '{"@timestamp":"2025-10-28T10:00:00.123Z","@version":"1","message":"one","id":"1","host":{"name":"box"},"event":{"original":"one"}}{"@timestamp":"2025-10-28T10:00:01.123Z","id":"2"}',
    topic: 'logs.logstash',
  },
  'rsyslog/rsyslog.conf': {
    type: 'application/json; charset=utf-8',
    body: '{"id":"1","time":"2025-10-28T10:00:00.123456+01:00","host":"box","program":"sshd","level":"info","message":" one"}\n{"id":"2","time":"2025-10-28T10:00:00Z","host":"box","program":"sshd","level":"info","message":" two"}',
    topic: 'logs.sshd',
  },
};

for (const [example, { body, type, topic }] of Object.entries(BODIES)) {
  test(`the example for ${example.split('/')[0]} makes an address that takes what it sends, and again [COL-2, COL-5, P-2]`, async () => {
    const server = service();
    const path = `examples/${example}`;
    await defineAsIn(server, path, textOf(path));
    const name = example.split('/')[0]!;
    for (const duplicates of [0, 2]) {
      const response = await server.post(body, { 'content-type': type }, `/in/${name}`);
      assert.equal(response.status, 200, await response.clone().text());
      assert.equal(((await response.json()) as { duplicates: number }).duplicates, duplicates);
    }
    const { events } = await server.events(`?topic=${topic}`);
    assert.equal(events.length, 2);
    for (const { event_id: id, timestamp, payload } of events) {
      assert.equal(id, (payload['body'] as { id: string }).id);
      assert.match(timestamp, /^2025-10-28T10:00:0/);
    }
  });
}

const { error } = spawnSync('syslog-ng', ['--version']);
if (error === undefined) testWithSyslogNg();
else if (process.env['REQUIRE_SYSLOG_NG'] === '1') {
  test('syslog-ng can be run, as REQUIRE_SYSLOG_NG=1 asks', () => assert.fail(error));
} else test('what syslog-ng sends', { skip: 'syslog-ng is not installed' }, () => {});

function testWithSyslogNg(): void {
  test('syslog-ng sends a batch again after each cut, and each message is stored once [COL-2, P-2]', async (t) => {
    const server = service();
    const example = 'examples/syslog-ng/syslog-ng.conf';
    await defineAsIn(server, example, textOf(example));
    const proxy = await cutting(t, server, '/in/syslog-ng', 'after', 'before');
    const folder = tempFolder(t);
    const messages = join(folder, 'messages');
    const lines = Array.from({ length: 30 }, (_, n) => `Oct 28 10:00:00 box shop[7]: order ${n} "placed" å`);
    writeFileSync(messages, `${lines.join('\n')}\n`);
    const config = join(folder, 'syslog-ng.conf');
    const ours = textOf(example)
      .replace('localhost:8000/in', `127.0.0.1:${proxy.port}/in`)
      .replace('/var/log/messages', messages)
      .replace('time-reopen(2)', 'time-reopen(1)');
    writeFileSync(config, ours);
    const files = ['-R', 'persist', '-p', 'pid', '-c', 'control'].map((one) =>
      one.startsWith('-') ? one : join(folder, one),
    );
    const child = spawn('syslog-ng', ['-F', '--no-caps', '-f', config, ...files], { stdio: 'ignore' });
    t.after(async () => {
      child.kill();
      if (child.exitCode === null) await once(child, 'close');
    });
    const stored = () => booksOf('logs.shop');
    await until(
      () => `${proxy.done} cuts`,
      async () => proxy.done === 2 && (await stored()).length >= lines.length,
    );
    assert.deepEqual(
      (await stored()).map(({ message }) => message),
      lines.map((_, n) => `order ${n} "placed" å`),
    );
  });
}
