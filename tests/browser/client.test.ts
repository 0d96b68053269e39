import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { transformSync } from 'esbuild';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { pathOf, textOf } from '../../lab/repository.ts';
import { IN_BROWSER, openPage } from './chromium.ts';

/** What the client's package consists of. */
const CLIENT = ['index.js', 'shared.js', 'inbox/index.js'];

const pageFor = (service: string): string => `<!doctype html>
<title>exercise</title>
<link rel="icon" href="data:,">
<script type="importmap">{"imports":{
  "@chronicleweaver/client":"/exercise/client/index.js",
  "@chronicleweaver/client/inbox":"/exercise/client/inbox/index.js"}}</script>
<script type="module">
  import { exercise } from '/exercise/exercise.js';
  exercise('${service}').then((said) => (document.title = said), (error) => (document.title = error.stack));
</script>`;

test('the published client works in a page of the service', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  assert.equal(await exercised(t, aggregator, aggregator), 'all as it should be');
});

test('it works in a page of an allowed origin, and in no other [CORS-1, CORS-2]', IN_BROWSER, async (t) => {
  const pages = await new Site(t).start();
  const open = await new Site(t).start({ settings: { CORS_ORIGINS: pages.url } });
  assert.equal(await exercised(t, pages, open), 'all as it should be');
  const closed = await new Site(t).start();
  const { page } = await openPage(t, pages, '/health');
  const read = (url: string): Promise<string> =>
    page.evaluate<string>(`fetch('${url}/events').then(({ status }) => 'status ' + status, String)`);
  assert.equal(await read(open.url), 'status 200');
  assert.equal(await read(closed.url), 'TypeError: Failed to fetch');
});

/** The outcome of the client's exercise with the service, in a page of the other origin. */
async function exercised(
  t: TestContext,
  pages: AggregatorProcess,
  service: AggregatorProcess,
): Promise<string> {
  await promisify(execFile)('npm', ['run', 'build', '-w', 'packages/client'], { cwd: pathOf('.') });
  const exercise = transformSync(textOf('tests/package/exercise.ts'), { loader: 'ts', target: 'es2022' });
  const files: Record<string, { contentType: string; body: string }> = {
    '/exercise/': { contentType: 'text/html', body: pageFor(service.url) },
    '/exercise/exercise.js': { contentType: 'text/javascript', body: exercise.code },
    ...Object.fromEntries(
      CLIENT.map((file) => [
        `/exercise/client/${file}`,
        { contentType: 'text/javascript', body: textOf(`packages/client/dist/${file}`) },
      ]),
    ),
  };
  const { page } = await openPage(t, pages, '/health');
  // The browser treats the test's page as remote, and lets it reach this machine only with this permission.
  await page.context().grantPermissions(['local-network-access']);
  await page.route('**/exercise/**', (route) =>
    route.fulfill(files[new URL(route.request().url()).pathname]),
  );
  await page.goto(`${pages.url}/exercise/`);
  await page.waitForFunction("document.title !== 'exercise'");
  return page.title();
}
