import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '@chronicleweaver/terminal';
import { type Options, publisherCommand } from '../src/options.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The options from a command line and an environment, or the complaint if they are wrong. */
async function read(args: readonly string[], env: Env): Promise<{ options: Options | null; said: string }> {
  let options: Options | null = null;
  let said = '';
  const command = publisherCommand(async (read) => {
    options = read;
  });
  const stderr = { write: (text: string) => (said += text) };
  const code = await run(command, 'publisher', { args, env, stderr });
  assert.equal(code, options === null ? 2 : 0);
  return { options, said };
}

async function readOptions(args: readonly string[], env: Env): Promise<Options> {
  const { options, said } = await read(args, env);
  return options ?? assert.fail(said);
}

test('without flags and variables it is 5000 events, a fifth duplicates, to localhost:8000', async () => {
  const { runId, ...rest } = await readOptions([], {});
  assert.match(runId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {
    baseUrl: 'http://localhost:8000',
    count: 5000,
    duplicateRatio: 0.2,
    batchSize: 100,
    concurrency: 4,
    topics: 5,
    retryMs: 60_000,
    json: false,
  });
});

test('every variable counts, and every flag wins over its variable', async () => {
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
  assert.deepEqual(await readOptions([], env), {
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
  assert.deepEqual(await readOptions(flags.split(' '), env), {
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

test('an address replaces host and port', async () => {
  const baseUrlOf = async (env: Env, ...args: string[]): Promise<string> =>
    (await readOptions(args, env)).baseUrl;
  const env = { AGGREGATOR_URL: 'https://log.example.org/', AGGREGATOR_HOST: 'other', AGGREGATOR_PORT: '1' };
  assert.equal(await baseUrlOf(env), 'https://log.example.org');
  assert.equal(await baseUrlOf(env, '--url=http://[::1]:9000/log/'), 'http://[::1]:9000/log');
  for (const url of ['log.example.org', 'ftp://x', 'https://x/?a=b', 'https://user:pass@x', 'https://']) {
    assert.match((await read(['--url', url], {})).said, /--url takes an http or https address/);
  }
});

test('an invalid key is not shown', async () => {
  const { said } = await read([], { API_KEY: 'pass word' });
  assert.match(said, /^publisher: API_KEY takes/);
  assert.doesNotMatch(said, /word/);
});

test('an empty variable counts as unset', async () => {
  const options = await readOptions([], { AGGREGATOR_HOST: '', PUBLISH_COUNT: '' });
  assert.equal(options.baseUrl, 'http://localhost:8000');
  assert.equal(options.count, 5000);
});

test('a wrong value is refused in one line with its flag or variable, what it got and what it takes', async () => {
  const wholeFrom1 = 'a whole number from 1 to';
  const cases: [args: string[], env: Env, message: string][] = [
    [['--count=many'], {}, `--count takes ${wholeFrom1} 10000000, not "many"`],
    [['--count=0'], { PUBLISH_COUNT: '7' }, `--count takes ${wholeFrom1} 10000000, not "0"`],
    [['--count', '-5'], {}, `--count takes ${wholeFrom1} 10000000, not "-5"`],
    [['--count='], {}, `--count takes ${wholeFrom1} 10000000, not ""`],
    [['--count'], {}, "option '--count <number>' argument missing; see --help"],
    [[], { PUBLISH_COUNT: '1e3' }, `PUBLISH_COUNT takes ${wholeFrom1} 10000000, not "1e3"`],
    [[], { AGGREGATOR_PORT: '65536' }, `AGGREGATOR_PORT takes ${wholeFrom1} 65535, not "65536"`],
    [
      [],
      { AGGREGATOR_HOST: 'http://x' },
      'AGGREGATOR_HOST takes a host name or an IP address, not "http://x"',
    ],
    ...['"x"', ' x', 'x\r', '*', 'x:1'].map((host): [string[], Env, string] => [
      [],
      { AGGREGATOR_HOST: host },
      `AGGREGATOR_HOST takes a host name or an IP address, not ${JSON.stringify(host)}`,
    ]),
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
    [['--speed=9'], {}, "unknown option '--speed=9'; see --help"],
    [['constructor'], {}, 'too many arguments. Expected 0 arguments but got 1: constructor; see --help'],
    [['--json=yes'], {}, "unknown option '--json=yes'; see --help"],
  ];
  for (const [args, env, message] of cases) {
    assert.equal((await read(args, env)).said, `publisher: ${message}\n`);
  }
});
