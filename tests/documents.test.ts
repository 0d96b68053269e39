import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../packages/aggregator/src/config.ts';
import { run } from '@chronicleweaver/terminal';
import { type Options, publisherCommand } from '../packages/publisher/src/options.ts';
import { filesOf, pathOf, tableRows, textOf } from '../lab/repository.ts';

/** The names that are looked up while the environment is read. */
async function variablesReadBy(
  read: (env: Record<string, string | undefined>) => unknown,
): Promise<Set<string>> {
  const names = new Set<string>();
  const env = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_, name) => {
        if (typeof name === 'string') names.add(name);
        return undefined;
      },
    },
  );
  await read(env);
  return names;
}

/** The settings that docs/settings.md lists: name, and default if that is a value. */
function listed(needle: string): { name: string; fallback: string | undefined }[] {
  const rows = tableRows(textOf('docs/settings.md'), `\`${needle}\``);
  assert.ok(rows.length > 0, `docs/settings.md has no table with ${needle} in it`);
  return rows.map(([name = '', fallback = '']) => ({
    name: /^`(.+)`$/.exec(name)?.[1] ?? assert.fail(`${name} is not a variable`),
    fallback: /^`([^`]+)`/.exec(fallback)?.[1],
  }));
}

test('the table of settings names what the service reads, with its defaults', async () => {
  const settings = listed('APP_PORT');
  assert.deepEqual(
    settings.map(({ name }) => name).toSorted(),
    [...(await variablesReadBy(readConfig))].toSorted(),
  );
  for (const { name, fallback } of settings) {
    if (fallback === undefined) continue;
    assert.deepEqual(
      readConfig({ [name]: fallback }),
      readConfig({}),
      `${name}=${fallback} is not the default`,
    );
  }
});

test("the table of the publisher's settings names what it reads, with its defaults", async () => {
  const settings = listed('AGGREGATOR_HOST');
  const read = async (env: Record<string, string | undefined>): Promise<Options> => {
    const { promise, resolve } = Promise.withResolvers<Options>();
    const command = publisherCommand(async (options) => resolve(options));
    assert.equal(await run(command, 'publisher', { args: ['--run-id=fixed'], env }), 0);
    return promise;
  };
  assert.deepEqual(
    settings.map(({ name }) => name).toSorted(),
    [...(await variablesReadBy(read))].toSorted(),
  );
  for (const { name, fallback } of settings) {
    if (fallback === undefined) continue;
    assert.deepEqual(
      await read({ [name]: fallback }),
      await read({}),
      `${name}=${fallback} is not the default`,
    );
  }
});

/** The service's log messages, except for debug ones; of a message that varies, its beginning. */
function loggedMessages(): { file: string; message: string }[] {
  return filesOf('packages/aggregator/src/**/*.ts').flatMap((file) =>
    [...textOf(file).matchAll(LOG_CALL)].map(([, quoted, templated]) => ({
      file,
      message: quoted ?? templated!,
    })),
  );
}

/** `log.info({ … }, 'message')` and `tell({ … }, 'message')`, with or without the fields. */
const LOG_CALL =
  /\b#?(?:log\.(?:info|warn|error)|tell)\(\s*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\},\s*)?(?:'([^'\n]+)'|`([^`$]+))/g;

test('every log message is in docs/operations.md with what to do', () => {
  const logged = loggedMessages();
  assert.ok(logged.length > 15, `${logged.length} messages were found`);
  // - `message`, `another` (level): what to do
  const items = textOf('docs/operations.md').matchAll(
    /^- (`[^`]+`(?:, `[^`]+`)*) \((?:info|warn|error)\):/gm,
  );
  const told = [...items].flatMap(([, names]) => [...names!.matchAll(/`([^`]+)`/g)].map(([, text]) => text!));
  // A message may be listed by its beginning.
  const tells = (text: string, message: string): boolean =>
    text.endsWith('…') ? message.startsWith(text.slice(0, -1).trim()) : message.trim() === text;
  const untold = logged.filter(({ message }) => !told.some((text) => tells(text, message)));
  assert.deepEqual(untold, []);
  const unsaid = told.filter((text) => !logged.some(({ message }) => tells(text, message)));
  assert.deepEqual(unsaid, [], 'docs/operations.md explains messages that no longer exist');
});

/** The targets of a Markdown text's links, except for those to other hosts and within the page. */
function linksIn(markdown: string): string[] {
  const prose = markdown.replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, '').replaceAll(/`[^`\n]*`/g, '');
  const targets = [
    ...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g),
    ...prose.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm),
    ...prose.matchAll(/\b(?:src|href)="([^"]+)"/g),
  ].map(([, target]) => target!);
  return targets.filter((target) => !/^(?:[a-z][a-z\d+.-]*:|#|\/\/)/i.test(target));
}

test('links between documents lead to existing files', () => {
  const files = filesOf('*.md', 'docs/**/*.md', 'packages/*/*.md', 'docker/**/*.md', 'examples/**/*.md');
  assert.ok(files.includes('README.md'));
  const broken = files.flatMap((file) =>
    linksIn(textOf(file))
      .map((target) => normalize(join(dirname(file), decodeURIComponent(target.replace(/[?#].*$/, '')))))
      .filter((target) => target.startsWith('..') || !existsSync(pathOf(target)))
      .map((target) => `${file} links to ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('links are recognized', () => {
  const markdown = [
    'See [one](one.md), [two](<two.md> "Two"), ![three](img/three.svg) and [four][4].',
    '[five](https://example.org/x.md) [six](#six) [seven](mailto:a@example.org) `[eight](eight.md)`',
    '```md\n[nine](nine.md)\n```',
    '[4]: docs/four.md#part',
    '<img src="ten.png">',
  ].join('\n');
  assert.deepEqual(linksIn(markdown), ['one.md', 'two.md', 'img/three.svg', 'docs/four.md#part', 'ten.png']);
});
