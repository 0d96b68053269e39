import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Site } from '../../../lab/aggregator-process.ts';
import { until } from '../../../lab/program.ts';
import { pathOf } from '../../../lab/repository.ts';
import { TestKeys } from '../../aggregator/test/support/keys.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { type Circumstances, commandLine, eventText } from './support/command-line.ts';

// Each exit code that a command's help names is produced here. The last test compares the two.

const TIMEOUT = { timeout: 180_000 };

/** The outcomes produced, such as "events 130". */
const proved = new Set<string>();

const { url } = await sharedServer({ AUDIT: 'true' });
const keyed = await TestServer.start(
  { after },
  {
    API_KEYS_FILE: new TestKeys({ after }, { admin: { scopes: ['admin'] } }).path,
  },
);

/** Accepts connections and never answers. */
const silent = createServer().listen(0, '127.0.0.1');
after(() => silent.close());
const silentUrl = () => `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;

const NOBODY = 'http://127.0.0.1:9';

/** Every command that talks to a service, in an order in which each finds what it needs. */
const SERVICE_COMMANDS = {
  publish: ['--retry=0'],
  events: [],
  find: ['outcomes', '1'],
  topics: [],
  audit: [],
  stats: [],
  top: [],
  'groups create': ['g', '--topic=outcomes', '--start=earliest'],
  'groups list': [],
  'groups show': ['g'],
  'groups pull': ['g'],
  'groups dead': ['g'],
  'groups replay': ['g'],
  'groups seek': ['g', 'earliest'],
  'groups ack': ['g', '1.1.l9Zc2pZ0q7cTzr1V'],
  'groups nack': ['g', '1.1.l9Zc2pZ0q7cTzr1V'],
  'groups pause': ['g'],
  'groups resume': ['g'],
  'groups webhook': ['g', '--secret=whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'],
  'groups delete': ['g'],
  pipe: ['--group=g', '--to=stdout'],
  'retention list': [],
  'retention set': ['p', '--topic=kept', '--max-age=1d'],
  'retention preview': ['p', '--topic=kept', '--max-age=1d'],
  'retention show': ['p'],
  'retention remove': ['p'],
  'sources set': ['s', '--kind=generic', '--topic=kept'],
  'sources list': [],
  'sources show': ['s'],
  'sources delete': ['s'],
  truncate: ['outcomes', '1', '--yes'],
  erase: ['outcomes', '1', '--yes'],
  tail: ['--after=earliest'],
} satisfies Record<string, string[]>;

const NAMES = Object.keys(SERVICE_COMMANDS) as (keyof typeof SERVICE_COMMANDS)[];

interface Case extends Circumstances {
  readonly code: number;
  readonly args?: readonly string[];
  readonly input?: string;
  readonly stderr: RegExp;
}

async function brings(name: keyof typeof SERVICE_COMMANDS, { code, args, input, stderr, ...more }: Case) {
  const command = [...name.split(' '), ...(args ?? SERVICE_COMMANDS[name])];
  const ran = await commandLine(command, input ?? eventText('outcomes'), more);
  assert.equal(ran.code, code, `${command.join(' ')}\n${ran.stdout}${ran.stderr}`);
  assert.match(ran.stderr, stderr, command.join(' '));
  proved.add(`${name} ${code}`);
  return ran;
}

const SILENCE = /^$/;

test('0: a command that did what it was asked for says nothing on stderr', async () => {
  const at = `--url=${url}`;
  // Those that need a lease or a webhook, and the one that takes the event from the others, come below.
  const special = /^(tail|erase|pipe)$|^groups (ack|nack|pause|resume|webhook|delete)$/;
  for (const name of NAMES.filter((name) => !special.test(name))) {
    await brings(name, { code: 0, args: [...SERVICE_COMMANDS[name], at], stderr: SILENCE });
  }
  for (const name of ['groups nack', 'groups ack'] as const) {
    const [lease] = (await commandLine(['groups', 'pull', 'g', at])).stdout.split(' ');
    await brings(name, { code: 0, args: ['g', lease!, at], stderr: SILENCE });
  }
  await commandLine(['groups', 'create', 'hook', '--topic=none', '--push=https://example.com/hook', at]);
  for (const name of ['groups pause', 'groups resume'] as const) {
    await brings(name, { code: 0, args: ['hook', at], stderr: SILENCE });
  }
  const [, ...secret] = SERVICE_COMMANDS['groups webhook'];
  await brings('groups webhook', { code: 0, args: ['hook', ...secret, at], stderr: SILENCE });
  // A signal is how it ends.
  await brings('pipe', { code: 0, args: [...SERVICE_COMMANDS.pipe, at], interrupt: 143, stderr: SILENCE });
  await brings('groups delete', { code: 0, args: ['g', at], stderr: SILENCE });
  await brings('erase', { code: 0, args: [...SERVICE_COMMANDS.erase, at], stderr: SILENCE });
});

test('0: a reader that leaves ends a command silently', async () => {
  await commandLine(['publish', `--url=${url}`], [1, 2, 3].map((n) => eventText(`left.${n}`)).join('\n'));
  for (const [name, args] of [
    // Behind the event that was erased above, of which they would tell.
    ['tail', ['--after=1']],
    ['events', ['--after=1']],
    ['stats', []],
  ] as const) {
    await brings(name, { code: 0, args: [...args, `--url=${url}`], readerLeaves: true, stderr: SILENCE });
  }
});

test('1: a command that failed says why', async () => {
  const refused: Promise<unknown>[] = NAMES.flatMap((name) => {
    const args = SERVICE_COMMANDS[name];
    return [
      brings(name, { code: 1, args: [...args, `--url=${NOBODY}`], stderr: /\nIs a service running there\?/ }),
      brings(name, {
        code: 1,
        args: [...args, `--url=${keyed.url}`, '--key=wrong'],
        stderr: /401 .*\nGive the secret of a key/,
      }),
    ];
  });
  await Promise.all(refused);
  const at = `--url=${url}`;
  await brings('find', { code: 1, args: ['outcomes', 'none', at], stderr: /has no event "none"/ });
  await brings('groups show', { code: 1, args: ['none', at], stderr: /404 subscription_not_found/ });
  await commandLine(['publish', at], eventText('kept'));
  const input = [eventText('before'), 'nope', eventText('kept').replace('shop', 'else'), eventText('behind')];
  const { stdout } = await brings('publish', {
    code: 1,
    args: [at],
    input: input.join('\n'),
    stderr:
      /^(?=[^]*^line 2: this is not JSON)(?=[^]*^line 3: conflict: event "1" of topic "kept" .* offset \d+$)/m,
  });
  assert.equal(stdout, '3 published: 2 accepted, 1 duplicate, of these 1 conflicts; 1 failed\n');
});

test('2: wrong usage is reported in one line', async () => {
  for (const name of NAMES) {
    await brings(name, { code: 2, args: ['--nope'], stderr: /^chronicleweaver: [^\n]*; see --help\n$/ });
  }
});

test('130 and 143: an interrupted command ends at once, without a complaint, a pipe with 0', async () => {
  await Promise.all(
    [130, 143].flatMap((code) =>
      NAMES.map((name) =>
        brings(name, {
          code: name === 'pipe' ? 0 : code,
          args: [...SERVICE_COMMANDS[name], `--url=${silentUrl()}`],
          interrupt: code,
          stderr: name === 'publish' ? /^stopped; so far 0 published: .*\n$/ : SILENCE,
        }),
      ),
    ),
  );
});

/** Programs of their own, each run as a process; a signal is sent when `when` has been printed, or at once. What one does
 * with a signal amid its work is in the tests of each. */
const PROGRAMS: readonly (readonly [code: number, args: string, signal?: NodeJS.Signals, when?: RegExp])[] = [
  [0, 'serve --port 0 --file other.db', 'SIGTERM', /"port"/],
  [1, 'serve --port 0 --file notes.txt'],
  [2, 'serve --nope'],
  [0, `stress --url ${url} --count 20`],
  [1, `stress --url ${keyed.url} --key wrong`],
  [2, 'stress --count x'],
  [130, 'stress --url SILENT', 'SIGINT'],
  [143, 'stress --url SILENT', 'SIGTERM'],
  [0, 'verify sound.db'],
  [1, 'verify notes.txt'],
  [2, 'verify none.db'],
  [2, 'verify used.db'],
  [130, 'verify sound.db', 'SIGINT'],
  [143, 'verify sound.db', 'SIGTERM'],
  [0, 'backup copy.db --from sound.db'],
  [2, 'backup sound.db --from sound.db'],
  [130, 'backup interrupted.db --from sound.db', 'SIGINT'],
  [143, 'backup interrupted.db --from sound.db', 'SIGTERM'],
  [0, 'move --from sqlite:old.db --to sqlite:new.db'],
  [2, 'move --from sqlite:none.db --to sqlite:none-either.db'],
  [130, 'move --from sqlite:sound.db --to sqlite:interrupted-move.db', 'SIGINT'],
  [143, 'move --from sqlite:sound.db --to sqlite:interrupted-move.db', 'SIGTERM'],
  [0, 'keys --file keys.json list'],
  [1, 'keys --file keys.json revoke nobody'],
  [2, 'keys list'],
  [130, 'keys --file keys.json list', 'SIGINT'],
  [143, 'keys --file keys.json list', 'SIGTERM'],
];

test('separate programs exit with the codes that their help names', TIMEOUT, async (t) => {
  const site = new Site(t);
  await (await site.start({ settings: { DEDUPLICATION_DB_PATH: 'sound.db' } })).stop();
  copyFileSync(join(site.folder, 'sound.db'), join(site.folder, 'old.db'));
  writeFileSync(join(site.folder, 'notes.txt'), 'The minutes of the meeting, in plain text.\n'.repeat(200));
  writeFileSync(join(site.folder, 'keys.json'), '{"keys":[]}');
  await site.start({ settings: { DEDUPLICATION_DB_PATH: 'used.db' } });
  const prove = async ([code, line, signal, when]: (typeof PROGRAMS)[number]) => {
    const args = line.replace('SILENT', silentUrl()).split(' ');
    const program = site.run([process.execPath, pathOf('packages/cli/src/main.ts'), ...args]);
    if (signal !== undefined) {
      await until(
        () => `${line}\n${program.printed()}`,
        () => when === undefined || when.test(program.stdout) || program.hasExited,
      );
      program.signal(signal);
    }
    const end = await program.exit(60_000);
    // The exit code that a shell reports for a program ended by a signal.
    const seen = end.code ?? { SIGINT: 130, SIGTERM: 143 }[String(end.signal)];
    assert.equal(seen, code, `${line}\n${program.printed()}`);
    proved.add(`${args[0]} ${code}`);
  };
  // Two at a time.
  const left = PROGRAMS.values();
  await Promise.all(
    [left, left].map(async (each) => {
      for (const one of each) await prove(one);
    }),
  );
  // A copy that is not sound is made in tests/backup.test.ts, which breaks the file on purpose.
  proved.add('backup 1');
  // A target that differs, and a service that is running on the source, are in the tests of moves.
  proved.add('move 1').add('move 3');
});

/** Commands that have commands. */
const GROUPS = ['groups', 'retention', 'sources'];

test('the help of every command names exactly the exit codes that were brought about', TIMEOUT, async (t) => {
  const site = new Site(t);
  const commandsIn = (help: string): string[] =>
    [.../^Commands:\n([^]*?)\n\n/m.exec(`${help}\n\n`)![1]!.matchAll(/^ {2}(\w+) /gm)]
      .map(([, name]) => name!)
      .filter((name) => name !== 'help');
  const help = async (...command: string[]) => (await commandLine([...command, '--help'])).stdout;
  const names = commandsIn(await help()).filter((name) => !GROUPS.includes(name));
  for (const group of GROUPS) {
    names.push(...commandsIn(await help(group)).map((name) => `${group} ${name}`));
  }
  const helps = names.map(async (name) => {
    // They write to this process's own stdout otherwise.
    const isProgram = /^(stress|verify|backup|move|keys)$/.test(name);
    if (!isProgram) return [name, await help(...name.split(' '))] as const;
    const program = site.run([process.execPath, pathOf('packages/cli/src/main.ts'), name, '--help']);
    assert.equal((await program.exit(60_000)).code, 0);
    return [name, program.stdout] as const;
  });
  const promised = (await Promise.all(helps)).flatMap(([name, text]) => {
    const [, codes = ''] =
      /^Exit codes:\n((?: {2}[\d, ]+ {2}.*\n)+)/m.exec(text) ?? assert.fail(`${name}\n${text}`);
    return [...codes.matchAll(/^ {2}(\d+)(?:, (\d+))? /gm)].flatMap(([, one, other]) =>
      [one, other].filter((code) => code !== undefined).map((code) => `${name} ${code}`),
    );
  });
  assert.deepEqual([...proved].toSorted(), promised.toSorted());
});
