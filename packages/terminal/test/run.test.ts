import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  Command,
  Stopped,
  TEXT,
  decimalNumber,
  listOption,
  oneOf,
  option,
  run,
  wholeNumber,
} from '../src/index.ts';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the action was given; null where it did not run. */
  readonly options: object | null;
}

/** Runs a program with options of every kind and a subcommand. */
async function runWith(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const said = { stdout: '', stderr: '' };
  let options: object | null = null;
  const program = new Command('npm run made --')
    .addOption(option('--count <number>', 'how many', wholeNumber(1, 9_000_000), 'COUNT').default(7))
    .addOption(
      option(
        '--share <number>',
        'how much',
        decimalNumber('below 1', (number) => number < 1),
      ),
    )
    .addOption(option('--secret <secret>', 'unseen', { ...oneOf(['open']), isSecret: true }, 'SECRET'))
    .addOption(listOption('--topic <topic>', 'which', TEXT))
    .option('--json', 'as JSON')
    .action((read) => void (options = read));
  program
    .command('stop')
    .argument('<code>')
    .argument('[message]')
    .action((code, message) => {
      throw new Stopped(Number(code), message);
    });
  const code = await run(program, 'made', {
    args,
    env,
    stdout: { write: (text) => (said.stdout += text) },
    stderr: { write: (text) => (said.stderr += text) },
  });
  return { code, ...said, options };
}

test('an option wins over its variable, a variable over the default, and an empty variable counts as unset', async () => {
  const countOf = async (args: string[], env: Record<string, string>): Promise<unknown> =>
    (await runWith(args, env)).options;
  assert.deepEqual(await countOf([], {}), { count: 7 });
  assert.deepEqual(await countOf([], { COUNT: '' }), { count: 7 });
  assert.deepEqual(await countOf([], { COUNT: '8' }), { count: 8 });
  assert.deepEqual(await countOf(['--count', '9'], { COUNT: '8' }), { count: 9 });
  assert.deepEqual(await countOf(['--count=9'], { COUNT: 'not looked at' }), { count: 9 });
});

test('numbers are decimal digits, and a repeatable option is a list', async () => {
  const { options } = await runWith([
    '--count',
    '1_000_000',
    '--share=.5',
    '--topic=b',
    '--topic',
    'a',
    '--json',
  ]);
  assert.deepEqual(options, { count: 1_000_000, share: 0.5, topic: ['b', 'a'], json: true });
});

test('wrong usage is reported in one line with the name of the program, and exits with 2', async () => {
  const cases: [args: string[], env: Record<string, string>, told: string][] = [
    [['--count', '0'], {}, '--count takes a whole number from 1 to 9000000, not "0"'],
    [['--count', '-5'], {}, '--count takes a whole number from 1 to 9000000, not "-5"'],
    [['--count=1e3'], {}, '--count takes a whole number from 1 to 9000000, not "1e3"'],
    [['--count=\n'], {}, '--count takes a whole number from 1 to 9000000, not "\\n"'],
    [[], { COUNT: 'x' }, 'COUNT takes a whole number from 1 to 9000000, not "x"'],
    [['--share', '1'], {}, '--share takes a number below 1, not "1"'],
    [['--secret', 'hidden'], {}, '--secret takes one of open'],
    [[], { SECRET: 'hidden' }, 'SECRET takes one of open'],
    [['--count'], {}, "option '--count <number>' argument missing; see --help"],
    [['--x=1'], {}, "unknown option '--x=1'; see --help"],
    [['--cont'], {}, "unknown option '--cont' (Did you mean --count?); see --help"],
    [['frob'], {}, 'too many arguments. Expected 0 arguments but got 1: frob; see --help'],
    [['stop'], {}, "missing required argument 'code'; see --help"],
    [
      ['stop', '1', 'x', 'y'],
      {},
      "too many arguments for 'stop'. Expected 2 arguments but got 3: 1, x, y; see --help",
    ],
  ];
  for (const [args, env, told] of cases) {
    assert.deepEqual(await runWith(args, env), {
      code: 2,
      stdout: '',
      stderr: `made: ${told}\n`,
      options: null,
    });
  }
});

test('--help goes to standard output and names what an option takes, its default and its variable', async () => {
  const { code, stdout, stderr, options } = await runWith(['--help'], { COUNT: 'not looked at' });
  assert.deepEqual([code, stderr, options], [0, '', null]);
  assert.match(stdout, /^Usage: npm run made -- \[options\]/);
  assert.match(
    stdout.replaceAll(/\s+/g, ' '),
    /--count <number> how many; takes a whole number from 1 to 9000000 \(env: COUNT\) \(default: 7\)/,
  );
});

test('an action chooses the exit code, with or without a message', async () => {
  assert.deepEqual(await runWith(['stop', '3']), { code: 3, stdout: '', stderr: '', options: null });
  const told = { code: 1, stdout: '', stderr: 'made: no luck\n', options: null };
  assert.deepEqual(await runWith(['stop', '1', 'no luck']), told);
});

test('a program of subcommands shows its help if none is given, and exits with 2', async () => {
  const program = new Command('made');
  program.command('go').action(() => {});
  let stderr = '';
  const write = (text: string): void => void (stderr += text);
  assert.equal(await run(program, 'made', { args: [], stderr: { write } }), 2);
  assert.match(stderr, /^Usage: made [^]*\n {2}go\b/);
});

test('an unexpected error is thrown', async () => {
  const program = new Command('made').action(() => {
    throw new TypeError('a bug');
  });
  await assert.rejects(run(program, 'made', { args: [] }), TypeError);
});

test('a program whose output nobody reads any more does its work to the end', async () => {
  const terminal = JSON.stringify(import.meta.resolve('../src/index.ts'));
  const source = `
    import { Command, Stopped, run } from ${terminal};
    const program = new Command('made').action(async () => {
      for (let i = 0; i < 20; i++) {
        process.stdout.write('a line\\n');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Stopped(7);
    });
    process.exitCode = await run(program, 'made');`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = (await once(child, 'close')) as [number];
  assert.deepEqual({ code, stderr }, { code: 7, stderr: '' });
});
