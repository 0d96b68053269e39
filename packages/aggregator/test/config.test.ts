import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DURATION_EXPECTED } from '@chronicleweaver/protocol';
import { ConfigError, readConfig } from '../src/config.ts';

test('without variables the defaults of the original apply, on loopback', () => {
  assert.partialDeepStrictEqual(readConfig({}), {
    host: '127.0.0.1',
    port: 8000,
    databasePath: 'data/chronicle.db',
    apiKeysFile: undefined,
    logLevel: 'info',
    bodyBytesMax: 16_777_216,
    queueEventsMax: 200_000,
    queueBytesMax: 134_217_728,
    followersMax: 2000,
    readBytesMax: 268_435_456,
    connectionsMax: 10_000,
  });
});

test('every variable is read, and an empty one counts as unset', () => {
  const config = readConfig({
    APP_PORT: '0',
    HOST: '::1',
    DEDUPLICATION_DB_PATH: '/x/y.db',
    LOG_LEVEL: '',
    QUEUE_EVENTS_MAX: '5',
    CORS_ORIGINS: 'https://a.example, http://localhost:3000,',
  });
  assert.equal(config.port, 0);
  assert.equal(config.host, '::1');
  assert.equal(config.databasePath, '/x/y.db');
  assert.equal(config.logLevel, 'info');
  assert.equal(config.queueEventsMax, 5);
  assert.deepEqual(config.corsOrigins, ['https://a.example', 'http://localhost:3000']);
  assert.ok(Object.isFrozen(config));
});

test('STORE_URL names the store, and without it the store is the file', () => {
  assert.equal(readConfig({}).store, 'sqlite:data/chronicle.db');
  assert.equal(readConfig({ DEDUPLICATION_DB_PATH: '/x/y.db' }).store, 'sqlite:/x/y.db');
  for (const address of [
    'postgres://u:p@h:5432/d',
    'postgresql://h/d?sslmode=require',
    'postgres://u:p,q@a:5432,b,[::1]:5433/d?host=c,d',
    'sqlite:x.db',
    'sqlite:/x',
  ]) {
    assert.equal(readConfig({ STORE_URL: address, DEDUPLICATION_DB_PATH: '/x/y.db' }).store, address);
  }
});

test('a STORE_URL that names no store is refused without showing the password in it', () => {
  for (const address of [
    'mysql://u:secret@h/d',
    'h:5432/d?secret',
    'postgres://u:secret@h:5x/d',
    'postgres://u:secret@a:1x,b:5/d',
    'postgres://u:secret@h/d ',
    'sqlite:',
    'memory://secret',
  ]) {
    assert.throws(
      () => readConfig({ STORE_URL: address }),
      (error) =>
        error instanceof ConfigError &&
        error.message.startsWith('STORE_URL ') &&
        !error.message.includes('secret'),
    );
  }
});

const PATHS = ['DEDUPLICATION_DB_PATH', 'API_KEYS_FILE', 'TLS_CERT_FILE', 'TLS_KEY_FILE'];
const HOST = 'an IP address or a host name, without a port';
const FILE = 'the path of a file';
const ORIGINS = 'origins like https://app.example.org, without a path, with commas between them, or *';
const ODD_NUMBERS = [
  'x',
  '-1',
  '+1',
  '8000.5',
  '1e3',
  '10MB',
  '0x10',
  '1_000',
  ' 8000',
  '8000\r',
  '٣',
  '9'.repeat(400),
];

/** Odd but plausible values, and what their settings say they take instead. */
const REFUSED: [names: string[], values: string[], takes: string][] = [
  [['APP_PORT', 'METRICS_PORT'], [...ODD_NUMBERS, '65536'], 'a whole number from 0 to 65535'],
  [['BODY_BYTES_MAX'], [...ODD_NUMBERS, '0', '268435457'], 'a whole number from 1048576 to 268435456'],
  [['QUEUE_EVENTS_MAX'], [...ODD_NUMBERS, '0', '10000001'], 'a whole number from 1 to 10000000'],
  [['QUEUE_BYTES_MAX'], [...ODD_NUMBERS, '0', '4294967297'], 'a whole number from 1 to 4294967296'],
  [['FOLLOWERS_MAX'], [...ODD_NUMBERS, '100001'], 'a whole number from 0 to 100000'],
  [['READ_BYTES_MAX'], [...ODD_NUMBERS, '0', '1048575'], 'a whole number from 1048576 to 68719476736'],
  [['CONNECTIONS_MAX'], [...ODD_NUMBERS, '0', '1000001'], 'a whole number from 1 to 1000000'],
  [
    ['LOG_LEVEL'],
    ['loud', 'INFO', 'warning', 'true', '0', ' info', '"info"'],
    'one of trace, debug, info, warn, error, fatal, silent',
  ],
  [['AUDIT_RETENTION'], ['90', '0d', '-1d', '1y', '1.5d', '36501d', 'forever'], DURATION_EXPECTED],
  [['WEBHOOK_ALLOW_PRIVATE', 'AUDIT'], ['TRUE', 'yes', 'on', '1', '0', 'no', 'true '], 'one of true, false'],
  [['HOST'], ['0.0.0.0:80', '[::1]', 'http://0.0.0.0', '*', '0', '127.1', '256.1.1.1', '::1/64', 'no such host', '-x', 'x'.repeat(300)], HOST], // prettier-ignore
  [
    ['CORS_ORIGINS'],
    [',', 'a.example', 'https://a.example/', 'https://a.example/x', 'https://*.example', 'https://a.example:443', 'null', 'file://'], // prettier-ignore
    ORIGINS,
  ],
  [PATHS, ['~/x', '~', '~user/x', '$HOME/x', '${HOME}/x', '/srv/$USER/x'], `${FILE} written out: only a shell knows what ~ and $ mean`], // prettier-ignore
  [PATHS, [':memory:', 'file:x', 'file:///x?mode=ro', 'sqlite://x', 'postgres://h/d'], `${FILE}, and no URI or other name of a database`], // prettier-ignore
  [PATHS, ['/x/data/', 'data/', '/', './', '.', '..', 'data/..', 'data/.'], `${FILE}, and this is the path of a folder`], // prettier-ignore
  [PATHS, [' ', ' x', 'x ', 'x\r', 'a\nb', 'x\t', '\u00a0x', 'x\u200b', '\ufeffx'], `${FILE}, without a blank or line end around it`], // prettier-ignore
  [PATHS, ['"x"', "'x'", '“x”'], `${FILE}, without quotes around it`],
  [['HOST'], [' ', '::1 ', '::1\r', '\u00a0::1'], `${HOST}, without a blank or line end around it`],
  [['HOST'], ['"0.0.0.0"'], `${HOST}, without quotes around it`],
  [['CORS_ORIGINS'], [' ', 'https://a.example\r'], `${ORIGINS}, without a blank or line end around it`],
];

test('an odd value is refused in one line that names the variable, its value and what it takes', () => {
  for (const [names, values, takes] of REFUSED) {
    for (const name of names) {
      for (const value of values) {
        const got = visible(value);
        const verb = name === 'CORS_ORIGINS' && takes === ORIGINS && value !== ',' ? 'has' : 'is';
        assert.throws(
          () => readConfig({ [name]: value }),
          new ConfigError(`${name} ${verb} ${got}; it takes ${takes}`),
        );
        assert.match(got, /^[^\p{C}\u00a0\u2028]+$/u);
      }
    }
  }
});

/** A value in quotes, with escapes for the table's invisible characters. */
function visible(value: string): string {
  return JSON.stringify(value).replaceAll('\u00a0', '\\u00a0').replaceAll('\u200b', '\\u200b').replaceAll('\ufeff', '\\ufeff'); // prettier-ignore
}

test('the metrics have another port than everything else, unless the system chooses both', () => {
  assert.equal(readConfig({}).metricsPort, undefined);
  assert.equal(readConfig({ APP_PORT: '0', METRICS_PORT: '0' }).metricsPort, 0);
  for (const ports of [{ METRICS_PORT: '8000' }, { APP_PORT: '9100', METRICS_PORT: '9100' }]) {
    const message = `METRICS_PORT is "${ports.METRICS_PORT}"; it takes another port than APP_PORT`;
    assert.throws(() => readConfig(ports), new ConfigError(message));
  }
});

test('topics of metrics are patterns, up to a hundred of them, each once [MET-4]', () => {
  const topicsOf = (text: string) => readConfig({ METRICS_TOPICS: text }).metricsTopics;
  assert.deepEqual(topicsOf(''), []);
  assert.deepEqual(topicsOf('orders.*, payments.>,orders.*,'), ['orders.*', 'payments.>']);
  const many = Array.from({ length: 101 }, (_, i) => `t${i}`);
  assert.equal(topicsOf(many.slice(1).join()).length, 100);
  for (const [text, said] of [
    [',', /^METRICS_TOPICS is ","; it takes up to 100 topics or patterns/],
    [many.join(), /^METRICS_TOPICS is .* it takes up to 100 topics or patterns/],
    ['a.>.b', /^METRICS_TOPICS has "a\.>\.b"; it takes .* last word$/],
    ['x'.repeat(300), /^METRICS_TOPICS has .* 256 characters$/],
    [' a', /without a blank/],
    ['"a"', /without quotes/],
  ] as const) {
    assert.throws(() => topicsOf(text), (error) => error instanceof ConfigError && said.test(error.message)); // prettier-ignore
  }
});

test('an odd value that may be intended is accepted unchanged', () => {
  for (const [name, value, field, read] of [
    ['APP_PORT', '08000', 'port', 8000],
    ['FOLLOWERS_MAX', '0', 'followersMax', 0],
    ['HOST', 'fe80::1%eth0', 'host', 'fe80::1%eth0'],
    ['HOST', 'log_1.example.org.', 'host', 'log_1.example.org.'],
    ['DEDUPLICATION_DB_PATH', 'my events.db', 'databasePath', 'my events.db'],
    ['DEDUPLICATION_DB_PATH', '../größe/~x/a$b', 'databasePath', '../größe/~x/a$b'],
    ['API_KEYS_FILE', "it's", 'apiKeysFile', "it's"],
    ['CORS_ORIGINS', '*', 'corsOrigins', ['*']],
    ['CORS_ORIGINS', 'http://[::1]:3000,', 'corsOrigins', ['http://[::1]:3000']],
    ['WEBHOOK_ALLOW_PRIVATE', 'true', 'webhookAllowPrivate', true],
    ['AUDIT', 'true', 'audit', true],
    ['AUDIT', '', 'audit', false],
    ['AUDIT_RETENTION', '1d12h', 'auditRetentionMs', 129_600_000],
    ['AUDIT_RETENTION', '', 'auditRetentionMs', 7_776_000_000],
  ] as const) {
    assert.deepEqual(readConfig({ [name]: value })[field], read, value);
  }
  assert.deepEqual(readConfig(Object.fromEntries(PATHS.map((name) => [name, '']))), readConfig({}));
});
