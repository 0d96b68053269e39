import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, readConfig } from '../src/config.ts';

test('without variables the defaults of the original hold, on loopback', () => {
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

test('every variable is read, an empty one counts as unset', () => {
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

test('a wrong value is told with its variable, what came and what is taken', () => {
  for (const [name, value, message] of [
    ['APP_PORT', 'abc', 'APP_PORT is "abc"; it takes a whole number from 0 to 65535'],
    ['APP_PORT', '65536', 'APP_PORT is "65536"; it takes a whole number from 0 to 65535'],
    ['APP_PORT', '-1', 'APP_PORT is "-1"; it takes a whole number from 0 to 65535'],
    ['APP_PORT', '80.5', 'APP_PORT is "80.5"; it takes a whole number from 0 to 65535'],
    [
      'LOG_LEVEL',
      'loud',
      'LOG_LEVEL is "loud"; it takes one of trace, debug, info, warn, error, fatal, silent',
    ],
    ['BODY_BYTES_MAX', '10', 'BODY_BYTES_MAX is "10"; it takes a whole number from 1048576 to 268435456'],
    ['QUEUE_EVENTS_MAX', '1e9', 'QUEUE_EVENTS_MAX is "1e9"; it takes a whole number from 1 to 10000000'],
    [
      'CORS_ORIGINS',
      'https://a.example,https://b.example/x',
      'CORS_ORIGINS has "https://b.example/x"; it takes origins like https://app.example.org, without a path, with ' +
        'commas between them, or *',
    ],
    ['QUEUE_BYTES_MAX', '0', 'QUEUE_BYTES_MAX is "0"; it takes a whole number from 1 to 4294967296'],
  ] as const) {
    assert.throws(() => readConfig({ [name]: value }), new ConfigError(message));
  }
});
