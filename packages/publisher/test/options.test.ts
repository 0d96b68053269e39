import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionError, readOptions } from '../src/options.ts';

test('without flags and variables it is 5000 events, a fifth duplicates, to localhost:8000', () => {
  const options = readOptions([], {});
  assert.ok(options !== 'help');
  const { runId, ...rest } = options;
  assert.match(runId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {
    baseUrl: 'http://localhost:8000',
    key: undefined,
    count: 5000,
    duplicateRatio: 0.2,
    batchSize: 100,
    concurrency: 4,
    topics: 5,
    retryMs: 60_000,
    json: false,
  });
});

test('every variable counts, and every flag wins over its variable', () => {
  const env = {
    AGGREGATOR_HOST: 'aggregator',
    AGGREGATOR_PORT: '8080',
    API_KEY: 'cw_of-variable',
    PUBLISH_COUNT: '10',
    PUBLISH_DUPLICATE_RATIO: '.5',
    PUBLISH_BATCH_SIZE: '2',
    PUBLISH_CONCURRENCY: '3',
    PUBLISH_TOPICS: '4',
    PUBLISH_RUN_ID: 'from-variable',
    PUBLISH_RETRY_SECONDS: '5',
  };
  assert.deepEqual(readOptions([], env), {
    baseUrl: 'http://aggregator:8080',
    key: 'cw_of-variable',
    count: 10,
    duplicateRatio: 0.5,
    batchSize: 2,
    concurrency: 3,
    topics: 4,
    runId: 'from-variable',
    retryMs: 5000,
    json: false,
  });
  const flags =
    '--host=::1 --port 9000 --count=20 --duplicate-ratio 0 --batch-size=6 --concurrency=7 --topics=8 --run-id=a.b ' +
    '--retry-seconds=0 --json --key cw_of-flag';
  assert.deepEqual(readOptions(flags.split(' '), env), {
    baseUrl: 'http://[::1]:9000',
    key: 'cw_of-flag',
    count: 20,
    duplicateRatio: 0,
    batchSize: 6,
    concurrency: 7,
    topics: 8,
    runId: 'a.b',
    retryMs: 0,
    json: true,
  });
});

test('an address takes the place of host and port', () => {
  const baseUrlOf = (env: NodeJS.ProcessEnv, ...args: string[]): string => {
    const options = readOptions(args, env);
    return options === 'help' ? assert.fail() : options.baseUrl;
  };
  const env = { AGGREGATOR_URL: 'https://log.example.org/', AGGREGATOR_HOST: 'other', AGGREGATOR_PORT: '1' };
  assert.equal(baseUrlOf(env), 'https://log.example.org');
  assert.equal(baseUrlOf(env, '--url=http://[::1]:9000/log/'), 'http://[::1]:9000/log');
  for (const url of ['log.example.org', 'ftp://x', 'https://x/?a=b', 'https://user:pass@x', 'https://']) {
    assert.throws(() => readOptions(['--url', url], {}), /--url takes an http or https address/);
  }
});

test('a key that is wrong is not shown', () => {
  assert.throws(
    () => readOptions([], { API_KEY: 'pass word' }),
    (error) =>
      error instanceof OptionError &&
      !error.message.includes('word') &&
      error.message.startsWith('API_KEY takes'),
  );
});

test('an empty variable counts as unset', () => {
  const options = readOptions([], { AGGREGATOR_HOST: '', PUBLISH_COUNT: '' });
  assert.ok(options !== 'help');
  assert.equal(options.baseUrl, 'http://localhost:8000');
  assert.equal(options.count, 5000);
});

test('a wrong value is refused in one line with its flag or variable, what it got and what it takes', () => {
  const wholeFrom1 = 'a whole number from 1 to';
  const cases: [args: string[], env: NodeJS.ProcessEnv, message: string][] = [
    [['--count=many'], {}, `--count takes ${wholeFrom1} 10000000, not "many"`],
    [['--count=0'], { PUBLISH_COUNT: '7' }, `--count takes ${wholeFrom1} 10000000, not "0"`],
    [['--count', '-5'], {}, `--count takes ${wholeFrom1} 10000000, not "-5"`],
    [['--count='], {}, `--count takes ${wholeFrom1} 10000000, not ""`],
    [['--count'], {}, `--count takes ${wholeFrom1} 10000000, and got nothing`],
    [[], { PUBLISH_COUNT: '1e3' }, `PUBLISH_COUNT takes ${wholeFrom1} 10000000, not "1e3"`],
    [[], { AGGREGATOR_PORT: '65536' }, `AGGREGATOR_PORT takes ${wholeFrom1} 65535, not "65536"`],
    [
      [],
      { AGGREGATOR_HOST: 'http://x' },
      'AGGREGATOR_HOST takes a host name or an IP address, not "http://x"',
    ],
    [['--host=x:1'], {}, '--host takes a host name or an IP address, not "x:1"'],
    [['--duplicate-ratio=1'], {}, '--duplicate-ratio takes a number from 0 to below 1, not "1"'],
    [
      [],
      { PUBLISH_DUPLICATE_RATIO: '20%' },
      'PUBLISH_DUPLICATE_RATIO takes a number from 0 to below 1, not "20%"',
    ],
    [['--batch-size=100001'], {}, `--batch-size takes ${wholeFrom1} 100000, not "100001"`],
    [['--concurrency=0.5'], {}, `--concurrency takes ${wholeFrom1} 256, not "0.5"`],
    [['--topics=0'], {}, `--topics takes ${wholeFrom1} 1000, not "0"`],
    [['--run-id=a b\n'], {}, '--run-id takes 1 to 200 letters, digits and . _ : -, not "a b\\n"'],
    [
      [],
      { PUBLISH_RETRY_SECONDS: 'long' },
      'PUBLISH_RETRY_SECONDS takes a whole number from 0 to 86400, not "long"',
    ],
    [['--speed=9'], {}, '--speed is not a flag; see --help'],
    [['constructor'], {}, 'constructor is not a flag; see --help'],
    [['--json=yes'], {}, '--json takes no value; see --help'],
  ];
  for (const [args, env, message] of cases) {
    assert.throws(
      () => readOptions(args, env),
      (error) => error instanceof OptionError && error.message === message,
      message,
    );
  }
});
