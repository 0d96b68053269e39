import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';
import { test } from 'node:test';

const AGGREGATOR = 'packages/aggregator/src/';

/**
 * What a room may not import. Paths are relative to the service's sources, or are names of packages; importing types
 * counts, too. `but` lists exceptions within the forbidden room.
 */
const NEVER: readonly [what: string, from: RegExp, to: RegExp, but?: RegExp][] = [
  ['followers know nothing of groups', /^followers\//, /^groups\//],
  ['groups know nothing of followers', /^groups\//, /^followers\//],
  ['delivery knows nothing of the consumer', /^(followers|groups)\//, /^consumer\//],
  ['retention knows only the store', /^retention\//, /^(?!store\/|retention\/|\.|@chronicleweaver)\w+\//],
  [
    'the log is served without regard to retention',
    /^(queue|consumer|commits|followers|groups)\//,
    /^retention\//,
  ],
  [
    'nobody but the api and what builds the parts knows who counts',
    /^(?!api\/|aggregator\.ts$|metrics\/)/,
    /^metrics\//,
  ],
  ['metrics know nothing of HTTP', /^metrics\//, /^(api|access|event)\/|^(node:https?|fastify)$/],
  ['a store knows nothing of HTTP', /^store\//, /^(api|webhooks)\/|^(node:https?|fastify)$/],
  [
    'the api knows only the seam of the stores',
    /^api\//,
    /^store\//,
    /^store\/(audit-store|event-store|group-store|repeat-store|stored-event|topic-filter|open-store)\.ts$/,
  ],
  [
    'CloudEvents know only what an event is',
    /^cloudevents\//,
    /^(?!cloudevents\/|event\/|released-memory\.ts$|node:crypto$|@chronicleweaver\/protocol$)/,
  ],
  [
    'sources know bytes, headers, what an event is, and where definitions are kept',
    /^sources\//,
    /^(?!sources\/|records\/|event\/|released-memory\.ts$|store\/source-store\.ts$|webhooks\/|node:(?:crypto|buffer)$|@chronicleweaver\/protocol$)/,
    /^node:http$/,
  ],
  ['records know nothing of who sends them', /^records\//, /^(?!records\/|node:crypto$)/],
  ['SQLite knows nothing of PostgreSQL', /^store\/sqlite\//, /^store\/(postgres|memory)\//],
  ['PostgreSQL knows nothing of SQLite', /^store\/postgres\//, /^store\/(sqlite|memory)\//],
  ['the memory store knows nothing of the others', /^store\/memory\//, /^store\/(sqlite|postgres)\//],
];

const ROOT = resolve(import.meta.dirname, '../../..');
const SOURCES = globSync('packages/*/{src,test}/**/*.ts', { cwd: ROOT }).map((file) =>
  file.replaceAll('\\', '/'),
);
const IMPORTS = new Map(SOURCES.map((file) => [file, importsOf(file)]));

/** What a file imports, including types: files as paths from the root, packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = text.matchAll(/^(?:import|export)\s(?:[^'";]*\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm);
  return [...found].map(([, from, lazily]) => {
    const target = from ?? lazily!;
    return target.startsWith('.') ? normalize(join(dirname(file), target)) : target;
  });
}

function importsThat(isForbidden: (from: string, to: string) => boolean): string[] {
  return [...IMPORTS].flatMap(([from, targets]) =>
    targets.filter((to) => isForbidden(from, to)).map((to) => `${from} imports ${to}`),
  );
}

/** A path within the service, or the name of a package, in the form of the rules above. */
function inService(path: string): string {
  return path.startsWith(AGGREGATOR) ? path.slice(AGGREGATOR.length) : path;
}

for (const [what, from, to, but] of NEVER) {
  test(what, () => {
    const found = importsThat(
      (file, target) =>
        file.startsWith(AGGREGATOR) &&
        from.test(inService(file)) &&
        to.test(inService(target)) &&
        but?.test(inService(target)) !== true,
    );
    assert.deepEqual(found, []);
  });
}

test('event/ depends only on the protocol and on how memory is released', () => {
  const found = importsThat(
    (from, to) =>
      inService(from).startsWith('event/') &&
      !inService(to).startsWith('event/') &&
      !['@chronicleweaver/protocol', `${AGGREGATOR}released-memory.ts`].includes(to),
  );
  assert.deepEqual(found, []);
});

test('otlp/ makes events and knows nothing else of the service', () => {
  const found = importsThat(
    (from, to) =>
      inService(from).startsWith('otlp/') &&
      !/^(otlp|records|event)\//.test(inService(to)) &&
      !['@chronicleweaver/protocol', '@bufbuild/protobuf/wire'].includes(to) &&
      to !== `${AGGREGATOR}released-memory.ts`,
  );
  assert.deepEqual(found, []);
});

test('packages depend on each other one way: the protocol on none, the client on the protocol, and only the command on the service', () => {
  const found = importsThat((from, to) => {
    const [, own, folder] = from.split('/');
    const other = /^packages\/([^/]+)\//.exec(to)?.[1] ?? /^@chronicleweaver\/([^/]+)/.exec(to)?.[1];
    if (other === undefined || other === own || folder !== 'src') return false;
    if (own === 'protocol') return true;
    if (own === 'client') return other !== 'protocol';
    return other === 'aggregator' && own !== 'cli';
  });
  assert.deepEqual(found, []);
});

test('no two files import each other, not even through others', () => {
  const done = new Set<string>();
  const way: string[] = [];
  const loopFrom = (file: string): string[] | null => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return null;
    way.push(file);
    for (const to of IMPORTS.get(file) ?? []) {
      const loop = loopFrom(to);
      if (loop !== null) return loop;
    }
    way.pop();
    done.add(file);
    return null;
  };
  for (const file of SOURCES) assert.equal(loopFrom(file)?.join(' → '), undefined);
});

test('the imports were found', () => {
  const inApi = IMPORTS.get(`${AGGREGATOR}api/publish.ts`) ?? [];
  assert.ok(inApi.includes(`${AGGREGATOR}event/event-batch.ts`), inApi.join());
  assert.ok(SOURCES.length > 150, `${SOURCES.length}`);
});
