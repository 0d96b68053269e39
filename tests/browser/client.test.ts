import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { transformSync } from 'esbuild';
import { Site } from '../support/aggregator-process.ts';
import { pathOf, textOf } from '../support/repository.ts';
import { IN_BROWSER, openPage } from './chromium.ts';

const PAGE = `<!doctype html>
<title>exercise</title>
<link rel="icon" href="data:,">
<script type="importmap">{"imports":{"@chronicleweaver/client":"/exercise/client.js"}}</script>
<script type="module">
  import { exercise } from '/exercise/exercise.js';
  exercise(location.origin).then((said) => (document.title = said), (error) => (document.title = error.stack));
</script>`;

test('the published client works in a page of the service', IN_BROWSER, async (t) => {
  await promisify(execFile)('npm', ['run', 'build', '-w', 'packages/client'], { cwd: pathOf('.') });
  const exercise = transformSync(textOf('tests/package/exercise.ts'), { loader: 'ts', target: 'es2022' });
  const files: Record<string, { contentType: string; body: string }> = {
    '/exercise/': { contentType: 'text/html', body: PAGE },
    '/exercise/exercise.js': { contentType: 'text/javascript', body: exercise.code },
    '/exercise/client.js': { contentType: 'text/javascript', body: textOf('packages/client/dist/index.js') },
  };
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/health');
  await page.route('**/exercise/**', (route) =>
    route.fulfill(files[new URL(route.request().url()).pathname]),
  );
  await page.goto(`${aggregator.url}/exercise/`);
  await page.waitForFunction("document.title !== 'exercise'");
  assert.equal(await page.title(), 'all as it should be');
});
